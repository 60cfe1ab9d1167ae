"""Ending a worker: what runs may end, for a while; then it is interrupted and given back. Nobody is charged for it."""

import logging
import os
import signal
from collections.abc import Callable

from celeriac.conf import settings
from celeriac.worker.board import now
from celeriac.worker.claimer import Claimer

__all__ = ["Drain"]

logger = logging.getLogger("celeriac")

#: What an interrupted body gets for its `finally` blocks before its process is killed.
MANNERS = 1.0

#: How long the ledger may take to write what was interrupted; then it is left to rescue.
PARTING = 5.0

#: How often the main thread, in which signals are handled, looks up.
LOOK = 0.05


class Drain:
    """One worker's end. The first signal begins it, the second hurries it."""

    def __init__(self, claimer: Claimer) -> None:
        self.claimer = claimer
        self._begun: float | None = None
        self._hurried = False

    def begin(self, *, hurry: bool = False) -> None:
        """Start nothing more; called in a signal handler, so it only takes notes."""
        self._hurried = self._hurried or hurry or self._begun is not None
        if self._begun is None:
            self._begun = now()
        self.claimer.dispatcher.board.draining = True
        self.claimer.stop()

    def finish(self, grace: float | None = None) -> bool:
        """Wait for what runs, interrupt it when its time is up; return whether everything is back in the ledger."""
        dispatcher = self.claimer.dispatcher
        grace = settings().DRAIN_SECONDS if grace is None else grace
        begun = now() if self._begun is None else self._begun
        if self._wait(lambda: self._hurried or now() >= begun + grace):
            return True
        running = [f"{job.task}[{job.id}]" for _, job, _ in dispatcher.running()]
        if not dispatcher.has_processes:
            return self._leave_threads(running)
        logger.warning(
            "The worker is to end now: interrupting %s; they will run again.", ", ".join(running) or "claims"
        )
        for signum, seconds in ((signal.SIGTERM, MANNERS), (signal.SIGKILL, PARTING)):
            dispatcher.interrupt(signum)
            if self._wait(self._until(seconds)):
                return True
        logger.error("The ledger did not take back what was interrupted; another worker will rescue it.")
        return False

    def _until(self, seconds: float) -> Callable[[], bool]:
        end = now() + seconds
        return lambda: now() >= end

    def _wait(self, up: Callable[[], bool]) -> bool:
        """Wait until the claimer has nothing any more (True), or *up* says that the time is up."""
        while self.claimer.is_alive() and not up():
            self.claimer.join(LOOK)
        return not self.claimer.is_alive()

    def _leave_threads(self, running: list[str]) -> bool:
        """Threads cannot be interrupted. Wait on, unless somebody insists; then only the process's end is left."""
        logger.error(
            "The worker is to end, but a pool of threads cannot be interrupted: still running %s. It waits for them; "
            "a second signal ends it at once, and another worker will rescue them.",
            ", ".join(running),
        )
        if self._wait(lambda: self._hurried):
            return True
        logging.shutdown()
        os._exit(1)
