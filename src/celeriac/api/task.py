"""The task class of a Celeriac app: Celery's and Django's, plus what a row makes possible."""

from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from celery.contrib.django.task import DjangoTask
from celery.exceptions import Ignore
from celery.result import AsyncResult

from celeriac.api.atomic import in_savepoint
from celeriac.api.context import current_run

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

    def on_replace(self, sig: Any) -> Any:
        """Have *sig* take this job's place once the body has left, and any transaction of its with it."""
        run = current_run(self.request.id)
        if run is None or self.request.is_eager:
            return super().on_replace(sig)
        run.replacement = sig
        raise Ignore("Replaced by new task")
