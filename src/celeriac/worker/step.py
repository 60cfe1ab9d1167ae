"""The bootstep: where Celery's worker and the ledger meet."""

from typing import Any
from uuid import uuid4

from celery import bootsteps, signals

from celeriac.api.atomic import require_one_database
from celeriac.conf import settings
from celeriac.errors import ConfigurationError
from celeriac.ledger.database import alias_of, connection_of, require_tables
from celeriac.loops import Loop, is_outage
from celeriac.upkeep.stager import stager
from celeriac.worker import board, remote
from celeriac.worker.claimer import Claimer
from celeriac.worker.presence import Presence

__all__ = ["LedgerStep"]


class LedgerStep(bootsteps.StartStopStep):
    """Runs durable jobs beside Celery's consumer; it needs the pool and not the broker.

    A step of the worker and not of the consumer, because the consumer waits for the broker, and durable jobs must not.
    """

    label = "Ledger"
    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self.id = uuid4()  # new at each start: a restarted worker never takes its old claims for its own
        self.claimer: Claimer | None = None
        self.loops: list[Loop] = []
        worker.ledger = self

    def create(self, worker: Any) -> Any:
        """Refuse to start on a mistaken configuration; make the flight recorder, before the pool forks."""
        try:
            self._require_ledger()
            require_one_database(worker.app.tasks.values(), alias_of())
        except ConfigurationError as error:
            raise SystemExit(f"celeriac: {error}") from None
        self.board = board.install()
        remote.register()
        return self

    def _require_ledger(self) -> None:
        settings()
        connection = connection_of()
        try:
            require_tables()
        except Exception as error:
            if not is_outage(error):
                raise
            # A database that is away is waited for: the claimer says so, once, and goes on when it is back.
        finally:
            connection.close()  # the pool must not inherit it

    def start(self, worker: Any) -> None:
        """Begin to claim."""
        upkeep = Loop("upkeep", stager(worker.app.tasks.keys))
        self.claimer = Claimer(worker, self.id, self.board, on_scheduled=upkeep.wake)
        self.presence = Presence(worker, self.id, self.claimer.queues)
        self.loops = [Loop("presence", self.presence.renew), upkeep]
        for thread in (*self.loops, self.claimer):
            thread.start()
        # The consumer may take seconds to notice a SIGTERM; claiming ends with the signal itself.
        signals.worker_shutting_down.connect(self._shutting_down)

    def _shutting_down(self, **_: Any) -> None:
        self.board.draining = True
        if self.claimer is not None:
            self.claimer.stop()

    def stop(self, worker: Any) -> None:
        """Drain: start nothing more, give back what has not started, wait for what runs."""
        if self.claimer is None:
            return
        self._shutting_down()
        self.claimer.join()
        for loop in self.loops:
            loop.stop()
        try:
            self.presence.leave()
        except Exception as error:
            if not is_outage(error):
                raise
        finally:
            connection_of().close()

    def terminate(self, worker: Any) -> None:
        """Cold shutdown: claim nothing more; the pool's processes are ended with what they run."""
        self._shutting_down()

    def info(self, worker: Any) -> dict[str, Any]:
        """What `celery inspect stats` shows."""
        claims = len(self.claimer.dispatcher.claims) if self.claimer else 0
        return {"ledger": {"worker": str(self.id), "database": alias_of(), "claims": claims}}
