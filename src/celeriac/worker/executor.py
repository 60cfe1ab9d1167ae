"""Running a claim: in a pool process (or thread), each job through Celery's own tracer.

So signals, `before_start`, Sentry, OpenTelemetry and `current_task` all work, and what the tracer reports is caught on
the job's `Run` (`celeriac.api.context`) instead of being stored twice.
"""

import math
import os
import resource
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from billiard.common import terminate_handler_fired
from billiard.pool import EX_RECYCLE
from celery import current_app
from celery.app import trace
from celery.exceptions import SoftTimeLimitExceeded

from celeriac import faults
from celeriac.api.context import Run, running
from celeriac.ledger.rows import ClaimedJob
from celeriac.outcomes import Kind, Outcome
from celeriac.worker import board as boards
from celeriac.worker import connections, pool_process
from celeriac.worker.atomic import run_atomically
from celeriac.worker.flusher import Flusher, Unfinished, flusher
from celeriac.worker.replace import replace
from celeriac.worker.report import Done, reported
from celeriac.worker.request import request_of

__all__ = ["Claim", "Ran", "run_claim", "run_job"]


class Claim(NamedTuple):
    """What a pool process is given: jobs, in order, and how this worker runs them."""

    slot: int
    jobs: list[ClaimedJob]
    hostname: str
    max_jobs: int = 0  # recycle the process after this many jobs in its life; 0: never
    max_memory: int = 0  # recycle above this many KiB of resident memory; 0: never
    careful: bool = False  # write each end before the next start, so that who was running can be told without us
    begin_by: float = math.inf  # board's now(): a worker that was stopped until then may have lost these jobs

    def __reduce__(self) -> tuple[Any, ...]:
        # By columns, and no UUIDs: a third of what it costs to pickle and read the jobs as they are.
        ids, *columns = zip(*self.jobs, strict=True)
        return _unpickled, (self.slot, [id_.int for id_ in ids], columns, *self[2:])


def _unpickled(slot: int, ids: list[int], columns: list[tuple[Any, ...]], *others: Any) -> Claim:
    rows = zip((UUID(int=id_) for id_ in ids), *columns, strict=True)
    return Claim(slot, list(map(ClaimedJob._make, rows)), *others)


class Ran(NamedTuple):
    """What the parent is told of a claim: task → (jobs, seconds), and how many jobs were given back unstarted."""

    stats: dict[str, tuple[int, float]]
    released: int


#: Jobs this process has run, for max_jobs.
_lifetime = 0


def run_claim(claim: Claim) -> Ran:
    """Run a claim's jobs until it is empty, its patience ends, the worker drains or the process is to be recycled.

    Returns only when every end is in the ledger, so a claim that returned owes nothing.
    """
    app = current_app._get_current_object()  # noqa: SLF001 - the app behind Celery's proxy
    flush = flusher()
    board = boards.board
    guarded = pool_process.install()
    connections.refresh()
    if board is not None and not _take(board, claim.slot):
        return Ran({}, 0)
    pending = deque(claim.jobs)
    unfinished = flush.begin(pending, claim.slot)
    overdue = boards.now() > claim.begin_by
    stats: dict[str, tuple[int, float]] = {}
    recycle = False
    index = 0
    try:
        while not recycle and not overdue and (board is None or board.may_start(claim.slot)):
            try:
                job = pending.popleft()
            except IndexError:
                break
            unfinished.started = time.monotonic()
            if board is not None:
                board.mark(claim.slot, index, boards.now())
            cancelled = _never if board is None else partial(board.cancelled, claim.slot, index)
            # After the mark: whoever cancels looks at it to know whether the body has begun.
            if cancelled():
                done = Done(job, outcome=Outcome(Kind.REVOKED, charge=0))
            else:
                if guarded:
                    pool_process.running.slot, pool_process.running.index = claim.slot, index
                try:
                    done = run_job(app, job, claim.hostname, cancelled)
                except SoftTimeLimitExceeded as error:  # in the very moment in which the body ended
                    done = Done(job, app.tasks.get(job.task), error=error)
                pool_process.running.index = boards.NOBODY
            if board is not None:
                board.clear(claim.slot)
            flush.put(done)
            connections.tidy()
            if claim.careful:
                flush.wait()
            count, seconds = stats.get(job.task, (0, 0.0))
            stats[job.task] = (count + 1, seconds + done.ran)
            index += 1
            recycle = _worn_out(claim)
    finally:
        # Also on the way out of a SystemExit or a soft limit that fired between two bodies.
        released = _leave(flush, unfinished)
    if recycle:
        # The status billiard's own limits end with: the parent replaces the process without calling it a failure.
        sys.exit(EX_RECYCLE)
    return Ran(stats, released)


def _take(board: boards.Board, slot: int) -> bool:
    """Come for the slot's claim, and wait until it is known whether it is committed.

    If nobody can say so any more, it is not ours.
    """
    board.take(slot)
    pause = 0.00005
    while (committed := board.decision(slot)) is None and os.getppid() == board.owner:
        time.sleep(pause)  # for a commit that takes longer than to come here
        pause = min(2 * pause, 0.001)
    return bool(committed)


def _never() -> bool:
    return False


def _leave(flush: Flusher, unfinished: Unfinished) -> int:
    flush.end(unfinished)
    if rest := unfinished.take_rest():
        flush.release(rest)
    connections.leave()
    flush.wait()
    return unfinished.released


def _worn_out(claim: Claim) -> bool:
    global _lifetime
    _lifetime += 1
    if claim.max_jobs and _lifetime >= claim.max_jobs:
        return True
    return bool(claim.max_memory) and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > claim.max_memory


def _new_life() -> None:
    global _lifetime
    _lifetime = 0


os.register_at_fork(after_in_child=_new_life)


def run_job(app: Any, job: ClaimedJob, hostname: str, cancelled: Callable[[], bool] = _never) -> Done:
    """Run one job and return how it ended. Only the death of the process escapes."""
    task = app.tasks.get(job.task)
    if task is None:
        return Done(job, outcome=Outcome(Kind.UNREGISTERED))
    if task.__trace__ is None:
        # The consumer builds the tracers once the broker answers; jobs do not wait for it. Looked up on the module,
        # where tracing libraries put theirs.
        task.__trace__ = trace.build_tracer(task.name, task, app.loader, hostname, app=app)
    if getattr(task, "atomic", False):
        return run_atomically(job, task, partial(_trace, job, task, hostname, cancelled))
    done = _trace(job, task, hostname, cancelled)
    if done.run is not None and done.run.replacement is not None:
        if cancelled():
            return Done(job, task, done.run, outcome=Outcome(Kind.REVOKED, charge=0), ran=done.ran)
        try:
            replace(done.run)
        except Exception as error:  # what should take its place cannot be sent: that is how this job ended
            return Done(job, task, done.run, error=error, ran=done.ran)
    return done


def _trace(
    job: ClaimedJob,
    task: Any,
    hostname: str,
    cancelled: Callable[[], bool],
    *,
    atomic: bool = False,
    doom: BaseException | None = None,
) -> Done:
    """Take a job through the tracer once; writes nothing of its end. When the tracer returns, the body is over."""
    try:
        task_id, args, kwargs, request = request_of(job, hostname)
    except Exception as error:  # whatever wrote this row, its end is a record and not a crash
        return Done(job, error=error, reason="undecodable")
    run = Run(task_id, job, request["root_id"], cancelled, atomic=atomic, doom=doom)
    token = running.set(run)
    faults.point("executor.before_body")
    started = time.monotonic()
    pool_process.running.body = True
    try:
        retval, info, _, _ = task.__trace__(task_id, args, kwargs, request)
    except BaseException as error:
        if isinstance(error, SystemExit | KeyboardInterrupt) and terminate_handler_fired():
            raise  # the parent ends this process and knows why
        # MemoryError, which would end a whole stock worker, and sys.exit() in a body are failures like any other.
        return Done(job, task, run, error=error, ran=time.monotonic() - started)
    finally:
        pool_process.running.body = False
        running.reset(token)
    ran = time.monotonic() - started
    faults.point("executor.after_body")
    return reported(job, task, run, retval, info, ran)
