"""The bootstep that makes a worker a scheduler: each is one, and the one that leads fires."""

from typing import Any

from celery import bootsteps

from celeriac.conf import settings
from celeriac.ledger.database import unforked
from celeriac.loops import Loop
from celeriac.schedules.program import chosen
from celeriac.schedules.rounds import Rounds

__all__ = ["ScheduleStep"]


class ScheduleStep(bootsteps.StartStopStep):
    """Fires schedules beside the ledger's step, whose lead it shares."""

    label = "Schedules"
    requires = ("celeriac.worker.step:LedgerStep",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        # Of `celery worker -B`, whose step is included once all are made.
        worker.scheduler = chosen(worker.scheduler)
        self.loop: Loop | None = None

    def include_if(self, worker: Any) -> bool:  # noqa: ARG002 - Celery's signature
        """Whether this project's workers fire schedules."""
        return settings().SCHEDULES

    def start(self, worker: Any) -> None:
        """Begin to look."""
        self.loop = Loop("schedules", Rounds(worker.app, worker.ledger.presence.leads), guard=unforked)
        self.loop.start()

    def stop(self, worker: Any) -> None:  # noqa: ARG002
        """Look no more."""
        if self.loop is not None:
            self.loop.stop()

    terminate = stop
