"""The task class of a Celeriac app: Celery's and Django's, plus what a row makes possible."""

import inspect
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from celery.contrib.django.task import DjangoTask
from celery.exceptions import Ignore
from celery.result import AsyncResult

from celeriac.api.atomic import in_savepoint
from celeriac.api.context import current_run
from celeriac.api.keys import NO_RULES, Rules, require_keys
from celeriac.api.retrying import again, require_policies, with_retries
from celeriac.outcomes import Policy

__all__ = ["Task"]


class Task(DjangoTask):
    """Base of all tasks of a Celeriac app.

    Attributes:
        durable: True keeps each call as a row in the ledger. False leaves calls to the broker, as stock Celery does:
            for work whose loss nobody would notice. `apply_async(durable=...)` decides for one call.
        atomic: True runs the body and writes its end in one transaction, so its effects happen exactly once. The body's
            data must be on the ledger's alias; a name says that it is on that alias instead of "default". An exception
            that leaves the body undoes what it did, Retry, Ignore and Reject included.
        retry_for: how long after its first failure a job may still be tried again (seconds or a timedelta). Without
            `max_retries` of the task's own this is the only limit.
        retry_on: {exception class: `Policy`}, for what deserves another policy than `autoretry_for`; the nearest class
            counts.
        discard_on: exceptions after which there is nothing to do: the job ends as cancelled, "discarded".
        idempotency_key: of the calls with the same key one is a job: a format string over the bound arguments
            ("inv-{invoice_id}"), or a function of them.
        idempotency_scope: how long a job holds its key: "while_unfinished" (the default), a time from the call on
            (seconds or a timedelta), or "forever".
        idempotency_conflict: what a call means whose key is held: "existing" (the default) returns that job's result,
            "raise" raises `celeriac.errors.JobExists`, "replace" gives its content to that job if it is still pending.
        debounce: a time; a later call with the same key (or, without a key, the same arguments) takes the place of the
            pending one, and it runs so long after the last call.
        throttle: (jobs, time): of the calls with the same key, or of all calls of the task, at most so many are jobs
            within any such time; the others return the most recent one's result.
        exclusive: as a key; at most one job with the same runs at a time, of whichever task, and the others wait their
            turn, in order.
        dead_on_expiry: True makes a job that was not started before its `expires` a dead letter instead of a cancelled
            one.
        schedule: when it is called by itself: a crontab, a timedelta, a number of seconds, or a `celeriac.Recurring`,
            which has policies and arguments.

    Celery's own knobs (`autoretry_for`, `retry_backoff`, `max_retries`, …) mean what they mean there.
    """

    abstract = True
    durable: ClassVar[bool] = True
    atomic: ClassVar[bool | str] = False
    retry_for: ClassVar[float | timedelta | None] = None
    retry_on: ClassVar[Mapping[type[BaseException], Policy]] = {}
    discard_on: ClassVar[Any] = ()
    dead_on_expiry: ClassVar[bool] = False
    schedule: ClassVar[Any] = None
    key_rules: ClassVar[Rules] = NO_RULES

    #: Read when the class is bound, as Celery reads its defaults: to ask the configuration is a twentieth of a call.
    from_config = (*DjangoTask.from_config, ("default_queue", "task_default_queue"))
    default_queue: ClassVar[str | None] = None

    #: Messages that reach a durable task by the broker come from a producer without Celeriac: they are adopted.
    Strategy = "celeriac.worker.adopt:strategy"

    @classmethod
    def on_bound(cls, app: Any) -> None:
        """Put what the task declares around its body.

        Raises:
            celeriac.errors.ConfigurationError: when that makes no sense, naming the task.
        """
        super().on_bound(app)
        require_policies(cls)
        if "key_rules" not in vars(cls):
            cls.key_rules = require_keys(cls)
            # What it says is in the rules by now; this tells a run its own key.
            cls.idempotency_key = Task.idempotency_key  # type: ignore[method-assign]
        if "_orig_run" not in vars(cls):
            # By this name Celery knows a body that is wrapped already, and leaves it alone.
            cls._orig_run = inspect.getattr_static(cls, "run")
        if cls.atomic:
            cls.run = in_savepoint(cls)
        cls.run = with_retries(cls)

    async def adelay(self, *args: Any, **kwargs: Any) -> AsyncResult:
        """Do as `delay()` without blocking the event loop, on the connection (and in the transaction) of the
        synchronous code around it.
        """
        return await self.aapply_async(args, kwargs)

    async def aapply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> AsyncResult:
        """Do as `apply_async()` without blocking the event loop."""
        return await sync_to_async(self.apply_async, thread_sensitive=True)(args, kwargs, **options)

    def retry(
        self,
        args: Any = None,
        kwargs: Any = None,
        exc: Any = None,
        throw: bool = True,  # noqa: FBT001, FBT002 - Celery's signature
        eta: Any = None,
        countdown: Any = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Any:
        """Do as Celery's `retry`: end this run and have the job run again.

        Without *countdown* and *eta* after the wait that the task declares, backoff and all, or that *exc* asks for (a
        server's Retry-After). With neither attempts nor time left it raises *exc*, or MaxRetriesExceededError.
        """
        if not self.request.called_directly:
            timed = bool(eta) or countdown is not None
            wait, max_retries = again(self, exc or sys.exc_info()[1], max_retries, timed=timed)
            if wait is not None and not timed:
                countdown = wait
        try:
            return super().retry(args, kwargs, exc, throw, eta, countdown, max_retries, **options)
        finally:
            # All threads share the task; what one call said is no business of the others.
            self.__dict__.pop("override_max_retries", None)

    def cancelled(self) -> bool:
        """Whether somebody asked to cancel the job that this thread is running (`AsyncResult.revoke()`).

        Costs no query: a body may ask in each turn of its loop. It then cleans up and returns, or raises; that end
        stands. Outside of a job's run False.
        """
        run = current_run()
        return run is not None and run.cancelled()

    def on_dead(self, job: Any) -> None:
        """Called when a job of this task is dead: it failed, and will not be tried again.

        *job* is its row (`celeriac.models.Job`; `job.attempts` are its failures). Called in a worker, from a job of its
        own after the commit, once a death; if it raises, it is called again with backoff. A replay that fails is
        another death. Does nothing by itself.
        """

    @property
    def idempotency_key(self) -> str | None:
        """What to tell the other side, so that it does once what a re-run asks for again.

        "task name:key" where the job has an idempotency key, else its id: the same in every attempt, rescue and replay.
        Printable ASCII of up to 255 characters; what is longer, or something else, is cut and has a digest at its end.
        Within `once("charge", …)` with "/charge" after it, so that two steps of a body differ. Eager the call's id, and
        None where the task is called as a function.
        """
        # Here and not above: a project may derive its tasks' class before the models are there.
        from celeriac.api.once import idempotency_key

        return idempotency_key(self)

    def once(
        self,
        name: str,
        fn: Callable[..., Any],
        /,
        *args: Any,
        doubtful: type[BaseException] | tuple[type[BaseException], ...] = TimeoutError,
        **kwargs: Any,
    ) -> Any:
        """Call `fn(*args, **kwargs)` once in all the runs of this job, and return its value in each of them.

        *name* tells this effect from others of the job, in at most 100 characters. An exception that leaves *fn* says
        that it did not happen, and the next run calls it again; one of the classes *doubtful* leaves it in doubt, as
        does the death of the process. Outside of a job *fn* is just called.

        Raises:
            InDoubt: it was begun before, and nobody recorded how it ended; *fn* was not called.
            NotSerializable: the value cannot be kept as JSON. *fn* was called, so it stays in doubt.
            ClaimLost: the job is no longer this run's.
            OpenTransaction: inside of a transaction on the ledger's database, which is SQLite.
        """
        from celeriac.api.once import once

        return once(self, name, partial(fn, *args, **kwargs), doubtful)

    def on_replace(self, sig: Any) -> Any:
        """Have *sig* take this job's place once the body has left, and any transaction of its with it."""
        run = current_run(self.request.id)
        if run is None or self.request.is_eager:
            return super().on_replace(sig)
        run.replacement = sig
        raise Ignore("Replaced by new task")
