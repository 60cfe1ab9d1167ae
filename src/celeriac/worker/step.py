"""The bootstep: where Celery's worker and the ledger meet."""

from functools import partial
from typing import Any
from uuid import uuid4

from celery import bootsteps, signals

from celeriac.api.atomic import require_one_database
from celeriac.conf import settings
from celeriac.errors import ConfigurationError
from celeriac.ledger.database import alias_of, connection_of, expect_forks, require_tables, unforked
from celeriac.ledger.rows import Sighting
from celeriac.ledger.verbs import Rescued
from celeriac.loops import Loop, is_outage
from celeriac.upkeep.announcer import announcer
from celeriac.upkeep.chores import together
from celeriac.upkeep.pruner import pruner
from celeriac.upkeep.replayer import replayer
from celeriac.upkeep.rescuer import rescuer
from celeriac.upkeep.stager import stager
from celeriac.worker import aftermath, board, remote
from celeriac.worker.claimer import Claimer
from celeriac.worker.deadlines import Deadlines
from celeriac.worker.deaths import expiry, tellers
from celeriac.worker.drain import Drain
from celeriac.worker.losses import judge_orphans, loss_of
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
        self.drain: Drain | None = None
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
        pool = worker.pool_cls if isinstance(worker.pool_cls, str) else worker.pool_cls.__module__
        if "prefork" in pool:
            expect_forks()
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
        tasks = worker.app.tasks
        upkeep = Loop("upkeep", stager(tasks.keys, self._leads, expiry(tasks)), guard=unforked)
        claimer = self.claimer = Claimer(worker, self.id, self.board, on_scheduled=upkeep.wake)
        deadlines = Deadlines(claimer.dispatcher)
        self.drain = Drain(claimer)

        def told(cancels: bool) -> None:
            claimer.dispatcher.look_at_memory()
            if cancels:
                claimer.cancels.look_soon()
            claimer.listener.wake()  # it may have waited for a first renewal, or a late one

        rescues = rescuer(self._leads, board.now, self._steady, judge_orphans, partial(_tell, worker))
        rescue = Loop("rescue", rescues, guard=unforked)
        rounds = (announcer(self._leads, tellers(tasks)), replayer(self._leads), pruner(self._leads))
        chores = Loop("chores", together(board.now, *rounds), guard=unforked)

        def elected() -> None:
            upkeep.wake()
            rescue.wake()

        self.presence = Presence(
            worker,
            self.id,
            self.board,
            queues=claimer.queues,
            stuck=deadlines.stuck,
            told=told,
            elected=elected,
            disowned=claimer.dispatcher.disown,
        )
        self.loops = [deadlines, upkeep, rescue, chores, self.presence]
        if claimer.dispatcher.blocks:
            self.loops.append(Loop("cancels", claimer.cancels.look_while_blocked))
        for thread in (*self.loops, claimer):
            thread.start()
        # The consumer may take seconds to notice a SIGTERM; claiming ends with the signal itself.
        signals.worker_shutting_down.connect(self._shutting_down)

    def _leads(self) -> bool:
        return self.presence.leads()

    def _steady(self) -> float:
        return self.presence.steady()

    def _shutting_down(self, how: str = "Warm", **_: Any) -> None:
        if self.drain is not None:
            self.drain.begin(hurry=how == "Cold")

    def stop(self, worker: Any) -> None:
        """Drain: start nothing more, give back what has not started, wait for what runs, but not for ever."""
        if self.drain is None:
            return
        self._begin_to_end()
        clean = self.drain.finish()
        for loop in self.loops:
            loop.stop()
        try:
            if clean:
                self.presence.end()
        except Exception as error:
            if not is_outage(error):
                raise
        finally:
            connection_of().close()

    def interrupt(self, grace: float) -> None:
        """Cold shutdown: let what runs go on for *grace* seconds, then interrupt it and give it back."""
        if self.drain is not None:
            self.drain.begin()
            self.drain.finish(grace)

    def _begin_to_end(self) -> None:
        # Without a signal, as when a test or a signal handler of the project stops the worker.
        if self.drain is not None and not self.board.draining:
            self.drain.begin()

    def terminate(self, worker: Any) -> None:
        """Cold shutdown: interrupt what runs, and give it back, before the pool's processes are ended."""
        if self.drain is not None:
            self.drain.begin(hurry=True)
        self.stop(worker)

    def info(self, worker: Any) -> dict[str, Any]:
        """What `celery inspect stats` shows."""
        claims = len(self.claimer.dispatcher.claims) if self.claimer else 0
        leads = self.claimer is not None and self.presence.leads()
        return {"ledger": {"worker": str(self.id), "database": alias_of(), "claims": claims, "leads": leads}}


def _tell(worker: Any, lost: Sighting, rescued: Rescued) -> None:
    aftermath.tell(worker.app, lost.hostname, rescued.held, rescued.judged, loss_of(lost))
