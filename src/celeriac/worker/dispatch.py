"""Handing claims to the pool, and taking stock when a claim comes back or its process dies."""

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from billiard.exceptions import Terminated, TimeLimitExceeded
from billiard.pool import EX_RECYCLE
from celery.exceptions import WorkerLostError
from celery.worker import state as worker_state

from celeriac.ledger.rows import ClaimedJob
from celeriac.worker.board import Board
from celeriac.worker.executor import Claim, Ran, run_claim

__all__ = ["Dispatcher", "Fallen", "InFlight", "kind_of_death"]

logger = logging.getLogger("celeriac")

#: A dead process is certain once the supervisor joined it; the fence makes a late result harmless, so no long wait.
LOST_SECONDS = 0.5


@dataclass(eq=False, slots=True)
class InFlight:
    """A claim that the pool has."""

    slot: int
    jobs: Sequence[ClaimedJob]
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Fallen:
    """A claim whose process did not come back: who was running, and what ended it."""

    jobs: Sequence[ClaimedJob]
    blamed: Sequence[ClaimedJob]
    error: Exception


class Dispatcher:
    """The claims in the pool. Its callbacks run on the pool's threads and only take notes; the claimer acts on them."""

    def __init__(self, worker: Any, board: Board, wake: Callable[[], None]) -> None:
        self.worker = worker
        self.board = board
        self.claims: set[InFlight] = set()
        self.reports: deque[Ran] = deque()
        self.fallen: deque[Fallen] = deque()
        self._wake = wake
        self._lock = threading.Lock()
        pool = type(worker.pool).__module__
        self._recycles = hasattr(worker.pool, "terminate_job") and "prefork" in pool
        #: Whether a claim is run by the thread that dispatches it.
        self.blocks = pool.endswith("solo")

    @property
    def slots(self) -> int:
        """How many claims the pool can run at once, now."""
        return int(self.worker.pool.num_processes)

    @property
    def free(self) -> int:
        """How many more it could take."""
        return max(0, self.slots - len(self.claims))

    def dispatch(self, jobs: Sequence[ClaimedJob], soft: float | None = None, hard: float | None = None) -> bool:
        """Give *jobs* to the pool as one claim; False if it takes nothing any more."""
        with self._lock:
            claim = InFlight(self.board.free.pop(), jobs)
            self.board.forget_cancels(claim.slot, len(jobs))
            self.claims.add(claim)
        self.board.clear(claim.slot)
        given = Claim(
            claim.slot,
            list(jobs),
            self.worker.hostname,
            (self.worker.max_tasks_per_child or 0) if self._recycles else 0,
            (self.worker.max_memory_per_child or 0) if self._recycles else 0,
        )
        try:
            taken = self.worker.pool.apply_async(
                run_claim,
                (given,),
                accept_callback=lambda pid, _: setattr(claim, "pid", pid),
                callback=lambda ran: self._returned(claim, ran),
                error_callback=lambda einfo: self._failed(claim, einfo.exception),
                soft_timeout=soft,
                timeout=hard,
                lost_worker_timeout=LOST_SECONDS,
            )
        except RuntimeError:  # a thread pool that was shut down
            taken = False
        # Solo runs the claim inside apply_async and returns nothing; a closed prefork pool returns None at once.
        if taken is False or (taken is None and claim in self.claims):
            self._remove(claim)
            return False
        return True

    def _remove(self, claim: InFlight) -> bool:
        with self._lock:
            if claim not in self.claims:
                return False
            self.claims.discard(claim)
            self.board.free.append(claim.slot)
            return True

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
        if not _is_recycling(error):
            running = self.board.running(claim.slot)
            # Whom the signal was for had ended meanwhile: the next job of its claim is not to blame.
            missed = running and isinstance(error, Terminated) and not self.board.cancelled(claim.slot, running[0])
            blamed = [claim.jobs[running[0]]] if running and not missed else ()
        if self._remove(claim):
            lost = error if isinstance(error, Exception) else WorkerLostError(repr(error))
            self.fallen.append(Fallen(claim.jobs, blamed, lost))
        self._wake()

    def running(self) -> Iterator[tuple[InFlight, ClaimedJob, float]]:
        """Yield (claim, job, time.monotonic() of its start) for each body that is running."""
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

    @property
    def terminates(self) -> bool:
        """Whether this pool can end one body from outside."""
        return self._recycles


def _is_recycling(error: BaseException) -> bool:
    return isinstance(error, SystemExit) and error.code == EX_RECYCLE


def kind_of_death(error: BaseException) -> str:
    """Return the outcome kind for what ended a process."""
    if isinstance(error, TimeLimitExceeded):
        return "timeout"
    if isinstance(error, Terminated):
        return "terminated"
    if not isinstance(error, WorkerLostError):
        logger.error("A claim failed outside of its jobs: %r", error)
    return "lost"
