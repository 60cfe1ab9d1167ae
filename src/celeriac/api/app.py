"""`celeriac.Celery`: the one changed import."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import celery
from celery.result import AsyncResult as Result
from kombu.utils.objects import cached_property

from celeriac.api import builtins
from celeriac.api.context import current_run
from celeriac.api.options import Asked, ask, is_durable
from celeriac.errors import ConfigurationError

__all__ = ["Celery"]


#: What a Celeriac app assumes where the project says nothing.
DEFAULTS = {
    # Celery would knock on a RabbitMQ at localhost. Durable jobs need no broker.
    "broker_url": "memory://localhost/",
    "result_backend": "celeriac.results:LedgerBackend",
    "worker_consumer": "celeriac.worker.adopt:Consumer",
    "beat_scheduler": "celeriac.schedules.beat:Scheduler",
    # Celery warns at each start and each reconnect until a project chooses; these are its present defaults.
    "broker_connection_retry_on_startup": True,
}


class Celery(celery.Celery):
    """A Celery app whose durable tasks are rows in the project's database.

    Everything that sends a task, `delay`, `apply_async`, retries, canvas and beat, goes through `send_task`, and that
    is the one method changed: it inserts.
    """

    task_cls = "celeriac.api.task:Task"
    control_cls = "celeriac.api.control:Control"
    builtin_fixups = frozenset({"celeriac.worker.fixup:fixup"})
    amqp_cls = "celeriac.api.amqp:AMQP"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_after_configure.connect(self._add_our_defaults)
        self.steps["worker"].add("celeriac.worker.step:LedgerStep")
        self.steps["worker"].add("celeriac.schedules.step:ScheduleStep")
        builtins.register(self)

    def _add_our_defaults(self, source: Any, **_: Any) -> None:
        ours: dict[str, Any] = dict(DEFAULTS)
        if source.broker_url in (None, ours["broker_url"]):
            # A worker's consumer looks for SIGTERM between two polls of its transport, a second each by default.
            ours["broker_transport_options"] = {"polling_interval": 0.1}
        # Below what the project says and above Celery's own. Not add_defaults(): that one overrules the project. And in
        # one map with Celery's: whatever is asked of the configuration is looked for in each.
        source.maps[-1] = {**source.maps[-1], **ours}

    # Celery's own, but kept where Python finds them without a call: kombu's property makes two and takes a lock each
    # time, and a call of a task asks for both.

    @functools.cached_property
    def amqp(self) -> Any:
        """What makes messages, and knows the routes."""
        return super().amqp

    @functools.cached_property
    def AsyncResult(self) -> Any:  # noqa: N802 - Celery's name
        """The class of results of this app's tasks."""
        return self.subclass_with_self("celeriac.api.result:AsyncResult")

    @cached_property
    def Beat(self) -> Any:  # noqa: N802 - Celery's name
        """The program that `celery beat` starts."""
        return self.subclass_with_self("celeriac.schedules.program:Beat")

    @cached_property
    def Worker(self) -> Any:  # noqa: N802 - Celery's name
        """The worker program that `celery worker` starts."""
        return self.subclass_with_self("celeriac.worker.program:Worker")

    def send_task(
        self,
        name: str,
        args: Any = None,
        kwargs: Any = None,
        countdown: float | None = None,
        eta: Any = None,
        task_id: str | None = None,
        **options: Any,
    ) -> Result:
        """Insert a job for the task *name*; takes what `celery.Celery.send_task` takes, and `durable`.

        The insert joins the transaction open on the ledger's alias: the job exists if and only if that commits.

        The result is that of the job that stands for the call: another one's, if that holds its idempotency key.

        Raises:
            celeriac.errors.JobExists: when its key is held and `idempotency_conflict` is "raise".
            celeriac.errors.PayloadError: when an argument cannot be kept; nothing was inserted.
            django.db.DatabaseError: when the ledger cannot be written.
        """
        task = options.get("task_type") or self._tasks.get(name)
        options.update(countdown=countdown, eta=eta, task_id=task_id)
        if not is_durable(task, options):
            self._require_broker(name)
            # The mark keeps a Celeriac worker from adopting what was meant for the broker.
            options["headers"] = {**(options.get("headers") or {}), "celeriac": {"durable": False}}
            return super().send_task(name, args, kwargs, **options)
        parent = self.current_worker_task
        asked = self.ask(name, args, kwargs, task, options, parent)
        # Made first: what runs just after the wait for the database costs several times as much.
        result = self.answer(asked.task_id, asked.ignore_result, options.get("result_cls"))
        run = current_run(asked.task_id)
        if run is not None and not run.settled:
            run.again = asked.job
        else:
            # Here and not above: a project imports this class before the models are there.
            from celeriac.api.enqueue import enqueue

            [task_id] = enqueue([asked])
            if task_id != asked.task_id:
                result = self.answer(task_id, asked.ignore_result, options.get("result_cls"))
        if parent is not None and options.get("add_to_parent", True):
            parent.add_trail(result)
        return result

    def enqueue_many(self, signatures: Iterable[Any]) -> Sequence[Result]:
        """Insert a job for each signature of a plain task, in one statement per 1,000, and return their results.

        Raises:
            TypeError: for a chain, group or chord, which are more than one job; call those themselves.
        """
        from celeriac.api.many import enqueue_many

        return enqueue_many(self, signatures)

    def _require_broker(self, name: str) -> None:
        if self.conf.broker_url == DEFAULTS["broker_url"]:
            raise ConfigurationError(
                f"{name} is called with durable=False, which leaves it to the broker, and none is configured: "
                "nothing would ever run it. Set CELERY_BROKER_URL, or let the call be durable."
            )

    def ask(self, name: str, args: Any, kwargs: Any, task: Any, options: dict[str, Any], parent: Any = None) -> Asked:
        """Return what a call comes to, with the options that its task declares and those of *parent*, which calls."""
        if task is not None and options.get("task_type") is None:
            # Task.apply_async has merged the task's own options; a call by name has not.
            given = {key: value for key, value in options.items() if value is not None}
            options = {**task._get_exec_options(), **given}  # noqa: SLF001
        if parent is not None and self.conf.task_inherit_parent_priority and options.get("priority") is None:
            options = {**options, "priority": (parent.request.delivery_info or {}).get("priority")}
        return ask(self, name, args, kwargs, task, options, parent)

    def answer(self, task_id: str, ignored: bool | None, cls: Any = None) -> Result:  # noqa: FBT001
        """Return the result of a call that was asked; *ignored*: nobody is to wait for it."""
        result = (cls or self.AsyncResult)(task_id)
        result.ignored = ignored
        return result
