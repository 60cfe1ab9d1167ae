"""Handing claims to the pool, and taking stock when a claim comes back or its process dies."""

import logging
import math
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from billiard.exceptions import Terminated, TimeLimitExceeded
from billiard.pool import EX_RECYCLE
from celery.exceptions import WorkerLostError
from celery.worker import state as worker_state

from celeriac.conf import settings
from celeriac.ledger.rows import ClaimedJob
from celeriac.outcomes import Kind
from celeriac.upkeep.census import MISSED
from celeriac.worker import evidence
from celeriac.worker.board import NOBODY, Board, now
from celeriac.worker.executor import Claim, Ran, run_claim
from celeriac.worker.flusher import LONGEST
from celeriac.worker.inflight import Fallen, InFlight, Interrupted
from celeriac.worker.limits import Limited

__all__ = ["Dispatcher", "kind_of_death", "send"]

logger = logging.getLogger("celeriac")

#: A dead process is certain once the supervisor joined it; the fence makes a late result harmless, so no long wait.
LOST_SECONDS = 0.5


class Dispatcher:
    """The claims in the pool. Its callbacks run on the pool's threads and take notes; the claimer acts on them."""

    def __init__(self, worker: Any, board: Board, wake: Callable[[], None]) -> None:
        self.worker = worker
        self.board = board
        self.claims: set[InFlight] = set()
        self.reports: deque[Ran] = deque()
        self.fallen: deque[Fallen] = deque()
        self.to_release: deque[Sequence[ClaimedJob]] = deque()
        self.retired: set[InFlight] = set()
        self._ahead: InFlight | None = None
        self.claimed = now()  # when the jobs that are being dispatched were asked for
        self.watch: Callable[[InFlight], None] = lambda _: None
        self._wake = wake
        self._lock = threading.Lock()
        pool = type(worker.pool).__module__
        #: Whether a claim is run by the thread that dispatches it.
        self.blocks = pool.endswith("solo")
        self.has_processes = hasattr(worker.pool, "terminate_job") and "prefork" in pool
        # What the pool would otherwise enforce on a whole claim, the worker's deadlines do for each job.
        limited = worker.time_limit or worker.soft_time_limit
        self._never = {"soft_timeout": 1e9, "timeout": 1e9} if limited and self.has_processes else {}

    @property
    def slots(self) -> int:
        """How many claims the pool can run at once, now."""
        return int(self.worker.pool.num_processes)

    @property
    def free(self) -> int:
        """How many more it could take."""
        return max(0, self.slots - len(self.claims))

    @property
    def may_spare(self) -> bool:
        """Whether it could have one more all the same, because a process should soon come for it."""
        if not self.has_processes or self.retired or len(self.claims) != self.slots:
            return False
        young = now() - LONGEST * settings().CLAIM_SECONDS
        return any(claim.begun > young for claim in tuple(self.claims))

    def dispatch(
        self,
        jobs: Sequence[ClaimedJob],
        limits: Sequence[Limited] = (),
        *,
        careful: bool = False,
        ahead: bool = False,
    ) -> bool:
        """Give *jobs* to the pool as one claim; False if it takes nothing any more. *ahead*: they wait for `decide`."""
        shortest = min(limit for pair in limits for limit in pair if limit is not None) if limits else math.inf
        with self._lock:
            claim = InFlight(self.board.free.pop(), jobs, limits, shortest, spare=len(self.claims) >= self.slots)
            self.board.forget_cancels(claim.slot, len(jobs))
            self.claims.add(claim)
        if ahead:
            self._ahead = claim
        self.board.give(claim.slot, committed=not ahead)
        given = Claim(
            claim.slot,
            list(jobs),
            self.worker.hostname,
            (self.worker.max_tasks_per_child or 0) if self.has_processes else 0,
            (self.worker.max_memory_per_child or 0) if self.has_processes else 0,
            careful,
            self.claimed + MISSED * settings().HEARTBEAT_SECONDS,
        )
        if shortest < math.inf or claim.spare:
            self.watch(claim)
        try:
            taken = self.worker.pool.apply_async(
                run_claim,
                (given,),
                accept_callback=lambda pid, _: setattr(claim, "pid", pid),
                callback=lambda ran: self._returned(claim, ran),
                error_callback=lambda einfo: self._failed(claim, einfo.exception),
                lost_worker_timeout=LOST_SECONDS,
                **self._never,
            )
        except RuntimeError:  # a thread pool that was shut down
            taken = False
        # Solo runs the claim inside apply_async and returns nothing; a closed prefork pool returns None at once.
        if taken is False or (taken is None and claim in self.claims):
            self._remove(claim)
            return False
        return True

    def decide(self, *, committed: bool) -> None:
        """Say whether the claim that was dispatched ahead, if one was, is committed; if not, nothing of it starts."""
        if self._ahead is not None:
            self._ahead.refused = not committed
            self.board.decide(self._ahead.slot, committed=committed)
            self._ahead = None

    def _remove(self, claim: InFlight) -> bool:
        with self._lock:
            known = claim in self.claims
            if known or claim in self.retired:
                self.claims.discard(claim)
                self.retired.discard(claim)
                self.board.free.append(claim.slot)
            return known

    def retire(self, claim: InFlight) -> None:
        """Give up a claim that no process took: the one that was about to has died, and the pool does not know.

        Should it be taken after all, nothing of it starts; its slot stays its own until then.
        """
        self.board.halt(claim.slot)
        with self._lock:
            if claim in self.claims and self.board.running(claim.slot) is None:
                self.claims.discard(claim)
                self.retired.add(claim)
                self.fallen.append(Fallen(claim, (), WorkerLostError("No process took the claim")))
        self._wake()

    def _returned(self, claim: InFlight, ran: Any) -> None:
        if not isinstance(ran, Ran):  # threads and solo report an exception here
            self._failed(claim, getattr(ran, "exception", RuntimeError(repr(ran))))
            return
        if self._remove(claim):
            counts = Counter({task: count for task, (count, _) in ran.stats.items()})
            worker_state.total_count.update(counts)
            worker_state.all_total_count[0] += sum(counts.values())
            self.reports.append(ran)
        self._wake()

    def _failed(self, claim: InFlight, error: BaseException) -> None:
        error = getattr(error, "exc", error)
        blamed: Sequence[ClaimedJob] = ()
        running = None if _is_recycling(error) else self.board.running(claim.slot)
        if self.board.draining and claim.ended_by is None and "(SIGTERM)" in str(error):
            # The signal went to the whole process group (systemd, a terminal), and the process did not wait for us.
            claim.ended_by, claim.ended_index = Interrupted("The worker drains"), running[0] if running else NOBODY
        if claim.ended_by is not None:
            error = claim.ended_by
            if running is not None and running[0] != claim.ended_index:
                running = None  # it had only just started when we killed the process for another
        if running is not None and isinstance(error, Terminated) and not self.board.cancelled(claim.slot, running[0]):
            running = None  # whom the signal was for had ended meanwhile
        if running is not None:
            blamed = [claim.jobs[running[0]]]
        log = self.board.text(claim.slot) if blamed else ""
        if self._remove(claim):
            kib, when = claim.resident or (None, 0.0)
            lost = error if isinstance(error, Exception) else WorkerLostError(repr(error))
            self.fallen.append(Fallen(claim, blamed, lost, evidence.told(claim.pid, kib, now() - when, log)))
        self._wake()

    def running(self) -> Iterator[tuple[InFlight, ClaimedJob, float]]:
        """Yield (claim, job, board's now() of its start) for each body that is running."""
        for claim in tuple(self.claims):
            mark = self.board.running(claim.slot)
            if mark is not None and claim in self.claims:
                yield claim, claim.jobs[mark[0]], mark[1]

    def cancel(self, id_: object) -> None:
        """Mark the job on the board, if some claim in the pool has it: its body sees that, or does not begin."""
        with self._lock:  # against a dispatch that gives the slot to another claim
            for claim in self.claims:
                for index, job in enumerate(claim.jobs):
                    if job.id == id_:
                        self.board.cancel(claim.slot, index)

    def shed(self, claim: InFlight, index: int) -> None:
        """Have what of the claim comes after job *index* given back, if its process did not: it may be unable to."""
        if self.board.shed(claim.slot):
            return
        self.board.halt(claim.slot)
        mark = self.board.running(claim.slot)
        if mark is not None and mark[0] == index:
            self.to_release.append(claim.jobs[index + 1 :])
            self._wake()

    def disown(self) -> None:
        """Have no claim start anything more: others were given its jobs."""
        for claim in tuple(self.claims):
            self.board.halt(claim.slot)

    def interrupt(self, signum: Any) -> None:
        """Send every process that has a claim *signum*, to end what it runs; nobody is to blame."""
        for claim in tuple(self.claims):
            if claim.pid is not None and self.has_processes:
                mark = self.board.running(claim.slot)
                claim.ended_by, claim.ended_index = Interrupted("The worker drains"), mark[0] if mark else NOBODY
                send(claim.pid, signum)

    def look_at_memory(self) -> None:
        """Note what the processes that run bodies have in memory, in case one of them dies of it."""
        for claim, _, _ in self.running():
            if self.has_processes and claim.pid is not None and (kib := evidence.resident(claim.pid)) is not None:
                claim.resident = kib, now()

    def terminate(self, id_: object, signal: Any) -> bool | None:
        """End the process that runs job *id_*, which is marked.

        True if done, None if it may be about to run, False if it will not run here any more.
        """
        for claim in tuple(self.claims):
            index = next((index for index, job in enumerate(claim.jobs) if job.id == id_), None)
            if index is None:
                continue
            mark = self.board.running(claim.slot)
            if mark is None or claim.pid is None:
                return None
            if mark[0] != index:
                return False  # it has ended, or will find its mark
            self.worker.pool.terminate_job(claim.pid, signal)
            return True
        return False


def _is_recycling(error: BaseException) -> bool:
    return isinstance(error, SystemExit) and error.code == EX_RECYCLE


def send(pid: int, signum: Any) -> None:
    """Send a pool process a signal; one that is gone already the pool will tell of."""
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        pass


def kind_of_death(error: BaseException) -> Kind:
    """Return the outcome kind for what ended a process."""
    if isinstance(error, TimeLimitExceeded):
        return Kind.TIMEOUT
    if isinstance(error, Terminated):
        return Kind.TERMINATED
    if not isinstance(error, WorkerLostError):
        logger.error("A claim failed outside of its jobs: %r", error)
    return Kind.LOST
