"""The task class of a Celeriac app: Celery's and Django's, plus what a row makes possible."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from celery.contrib.django.task import DjangoTask
from celery.exceptions import Ignore
from celery.result import AsyncResult

from celeriac.api.atomic import in_savepoint
from celeriac.api.context import current_run
from celeriac.api.once import idempotency_key, once

__all__ = ["Task"]


class Task(DjangoTask):
    """Base of all tasks of a Celeriac app.

    Attributes:
        durable: True keeps each call as a row in the ledger. False leaves calls to the broker, as stock Celery does:
            for work whose loss nobody would notice. `apply_async(durable=...)` decides for one call.
        atomic: True runs the body and writes its end in one transaction, so its effects happen exactly once. The body's
            data must be on the ledger's alias; a name says that it is on that alias instead of "default". An exception
            that leaves the body undoes what it did, Retry, Ignore and Reject included.
    """

    abstract = True
    durable: ClassVar[bool] = True
    atomic: ClassVar[bool | str] = False

    #: Messages that reach a durable task by the broker come from a producer without Celeriac: they are adopted.
    Strategy = "celeriac.worker.adopt:strategy"

    @classmethod
    def on_bound(cls, app: Any) -> None:
        """Put an atomic body into its savepoint, inside of what autoretry puts around it later."""
        super().on_bound(app)
        if cls.atomic:
            cls.run = in_savepoint(cls)

    async def adelay(self, *args: Any, **kwargs: Any) -> AsyncResult:
        """Do as `delay()` without blocking the event loop, on the connection (and in the transaction) of the
        synchronous code around it.
        """
        return await self.aapply_async(args, kwargs)

    async def aapply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> AsyncResult:
        """Do as `apply_async()` without blocking the event loop."""
        return await sync_to_async(self.apply_async, thread_sensitive=True)(args, kwargs, **options)

    def cancelled(self) -> bool:
        """Whether somebody asked to cancel the job that this thread is running (`AsyncResult.revoke()`).

        Costs no query: a body may ask in each turn of its loop. It then cleans up and returns, or raises; that end
        stands. Outside of a job's run False.
        """
        run = current_run()
        return run is not None and run.cancelled()

    @property
    def idempotency_key(self) -> str | None:
        """What to tell the other side, so that it does once what a re-run asks for again.

        "task name:key" where the job has an idempotency key, else its id: the same in every attempt, rescue and replay.
        Within `once("charge", …)` with "/charge" after it, so that two steps of a body differ. Eager the call's id, and
        None where the task is called as a function.
        """
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
        return once(self, name, partial(fn, *args, **kwargs), doubtful)

    def on_replace(self, sig: Any) -> Any:
        """Have *sig* take this job's place once the body has left, and any transaction of its with it."""
        run = current_run(self.request.id)
        if run is None or self.request.is_eager:
            return super().on_replace(sig)
        run.replacement = sig
        raise Ignore("Replaced by new task")
