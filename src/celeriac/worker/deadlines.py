"""Time limits, exact per job whatever claim it is in, kept by one thread of the worker that reads the flight recorder.

At its soft limit the job's process is sent SIGUSR1, as stock Celery does, and raises SoftTimeLimitExceeded if that very
job is still running (`pool_process`). At its hard limit the process is killed. Where the pool is threads nothing can be
enforced: it is said, once per job, and shown in the worker's row.

The same thread sees to it that a body which holds Python's lock does not hold its claim-mates: it gives them back when
the process itself did not. And that a claim which waits for a process to become free does not wait for long.
"""

import logging
import math
import signal

from billiard.exceptions import TimeLimitExceeded

from celeriac import events
from celeriac.conf import settings
from celeriac.loops import Loop
from celeriac.worker.board import now
from celeriac.worker.dispatch import Dispatcher, send
from celeriac.worker.flusher import LONGEST
from celeriac.worker.inflight import InFlight

__all__ = ["Deadlines"]

logger = logging.getLogger("celeriac")

#: A claim's unstarted rest is given back after this many CLAIM_SECONDS of one body, if its own process did not.
SHED = 10

#: How soon to look again where a process has not yet said that it took its claim. Far longer than what one processor
#: writes takes to be seen by another.
SOON = 0.02

#: A claim that no process has taken after this many seconds went down with one that was about to.
UNTAKEN = 5.0

#: The longest rest: so that giving a claim without limits to the pool need not wake this thread.
REST = 1.0


class Deadlines(Loop):
    """Watches the claims in the pool."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__("deadlines", self.look)
        self.dispatcher = dispatcher
        self._late = SHED * settings().CLAIM_SECONDS
        self._spare = LONGEST * settings().CLAIM_SECONDS
        self._next = math.inf
        dispatcher.watch = self.watch

    def watch(self, claim: InFlight) -> None:
        """Take note of a claim that was just given to the pool, and has limits or waits for a process."""
        if now() + (self._spare if claim.spare else claim.shortest) < self._next:
            self.wake()

    def _patience(self, claim: InFlight) -> float:
        return min(claim.shortest, self._late if len(claim.jobs) > 1 else math.inf)

    def look(self) -> float:
        """See to every claim; return the seconds until one may be due."""
        self._next = math.inf  # who comes while we look has us look again
        rest = min([REST, *(self._see_to(claim) for claim in tuple(self.dispatcher.claims))])
        self._next = now() + rest
        return rest

    def _see_to(self, claim: InFlight) -> float:
        mark = self.dispatcher.board.running(claim.slot)
        if mark is None:
            return self._see_whether_taken(claim)
        index, started = mark
        ran = now() - started
        if len(claim.jobs) > index + 1 and ran >= self._late and not claim.shed:
            claim.shed = True
            self.dispatcher.shed(claim, index)
        soft, hard = claim.limits[index] if claim.limits else (None, None)
        due = [self._patience(claim) if not claim.shed else claim.shortest]
        if hard is not None:
            if ran >= hard:
                return self._hard(claim, index, hard)
            due.append(hard - ran)
        if soft is not None and claim.called != index:
            due.append(soft - ran if ran < soft else self._soft(claim, index, soft))
        return max(min(due), 0.001)

    def _see_whether_taken(self, claim: InFlight) -> float:
        waited = now() - claim.begun
        if claim.spare and not self.dispatcher.board.taken(claim.slot):
            if waited < self._spare:
                return self._spare - waited
            if claim.halted == math.inf:
                # Who comes in this very moment may not see it, but has said by the next look that it came.
                claim.halted = now()
                self.dispatcher.board.halt(claim.slot)
            elif now() - claim.halted >= SOON:
                self.dispatcher.retire(claim)
            return SOON
        untaken = claim.pid is None and self.dispatcher.has_processes
        if untaken and waited > (REST if self.dispatcher.board.draining else UNTAKEN):
            self.dispatcher.retire(claim)
        return self._patience(claim)  # whichever body starts now is not due before

    def _soft(self, claim: InFlight, index: int, soft: float) -> float:
        if not self.dispatcher.has_processes:
            return self._overdue(claim, index, "soft", soft)
        if claim.pid is None:
            return SOON
        claim.called = index
        self.dispatcher.board.call_time(claim.slot, index)
        job = claim.jobs[index]
        logger.warning("Soft time limit (%ss) exceeded for %s[%s]", soft, job.task, job.id)
        send(claim.pid, signal.SIGUSR1)
        return math.inf

    def _hard(self, claim: InFlight, index: int, hard: float) -> float:
        if not self.dispatcher.has_processes:
            return self._overdue(claim, index, "hard", hard)
        if claim.pid is None:
            return SOON
        if claim.ended_by is None:
            self.dispatcher.board.halt(claim.slot)  # what would start in this moment must not be hit
            mark = self.dispatcher.board.running(claim.slot)
            if mark is None or mark[0] != index:
                return SOON
            claim.ended_by, claim.ended_index = TimeLimitExceeded(hard), index
            job = claim.jobs[index]
            logger.error("Hard time limit (%ss) exceeded for %s[%s]", hard, job.task, job.id)
            send(claim.pid, signal.SIGKILL)
        return math.inf

    def _overdue(self, claim: InFlight, index: int, which: str, limit: float) -> float:
        """Say that a limit has passed which nobody can enforce here."""
        job = claim.jobs[index]
        if (index, which) not in claim.overdue:
            claim.overdue.add((index, which))
            logger.error(
                "%s[%s] is past its %s time limit (%ss). A pool of threads cannot end it: its slot is stuck until it "
                "ends. Run it on a prefork worker.",
                *(job.task, job.id, which, limit),
            )
            events.emit("overdue", job=job, which=which, limit=limit)
        return math.inf

    def stuck(self) -> list[str]:
        """Return the ids of running jobs past a limit that cannot be enforced."""
        running = self.dispatcher.running()
        return [str(job.id) for claim, job, _ in running if any(claim.jobs[i].id == job.id for i, _ in claim.overdue)]
