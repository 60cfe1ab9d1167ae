"""The task class of a Celeriac app: Celery's and Django's, plus what a row makes possible."""

from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from celery.contrib.django.task import DjangoTask
from celery.exceptions import Ignore
from celery.result import AsyncResult

from celeriac.api.context import current_run
from celeriac.ledger.database import writing
from celeriac.ledger.rows import Return

__all__ = ["Task"]


class Task(DjangoTask):
    """Base of all tasks of a Celeriac app.

    Attributes:
        durable: True keeps each call as a row in the ledger. False leaves calls to the broker, as stock Celery does:
            for work whose loss nobody would notice. `apply_async(durable=...)` decides for one call.
    """

    abstract = True
    durable: ClassVar[bool] = True

    #: Messages that reach a durable task by the broker come from a producer without Celeriac: they are adopted.
    Strategy = "celeriac.worker.adopt:strategy"

    async def adelay(self, *args: Any, **kwargs: Any) -> AsyncResult:
        """Do as `delay()` without blocking the event loop, on the connection (and in the transaction) of the
        synchronous code around it.
        """
        return await self.aapply_async(args, kwargs)

    async def aapply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> AsyncResult:
        """Do as `apply_async()` without blocking the event loop."""
        return await sync_to_async(self.apply_async, thread_sensitive=True)(args, kwargs, **options)

    def on_replace(self, sig: Any) -> Any:
        """Put *sig* in this job's place: the row waits for its id to come back as the last step of the replacement.

        Both writes are one transaction, so no step of the replacement can end before this row waits for it.
        """
        from celeriac.ledger.verbs import reschedule  # models: not before django.setup()

        run = current_run(self.request.id)
        if run is None or self.request.is_eager:
            return super().on_replace(sig)
        with writing():
            if reschedule([Return(run.job.id, run.job.claim_no, reason="replaced")]):
                run.settled = True
                sig.delay()
        raise Ignore("Replaced by new task")
