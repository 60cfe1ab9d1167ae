"""From what the tracer returned to an outcome, and from the verdict on it to what the ledger is told."""

import random
from dataclasses import dataclass
from typing import Any

from celery import states as celery_states
from celery.exceptions import Reject, Retry, SoftTimeLimitExceeded, TaskRevokedError

from celeriac.api import payload
from celeriac.api.context import Run
from celeriac.api.endings import Cancel, Snooze
from celeriac.api.retrying import Discarded, policy_of
from celeriac.conf import settings
from celeriac.errors import InDoubt, PayloadError
from celeriac.ledger.rows import ClaimedJob, Ending, Failure, Return
from celeriac.outcomes import Bounds, Kind, Outcome, Verdict, judge, wait_before_retry
from celeriac.worker.story import error_json, failure, fingerprinted

__all__ = ["Done", "Written", "reported", "written"]

Written = Ending | Return | None


@dataclass(slots=True)
class Done:
    """A run that ended, before anything is written."""

    job: ClaimedJob
    task: Any = None
    run: Run | None = None
    outcome: Outcome | None = None
    error: BaseException | None = None
    traceback: Any = None
    reason: str = ""
    result: str | None = None
    ran: float = 0.0
    ended: float = 0.0  # time.monotonic(), set by the flusher


def reported(job: ClaimedJob, task: Any, run: Run, retval: Any, info: Any, ran: float) -> Done:
    """Return how a run ended, from the tracer's (return value, info)."""
    done = Done(job, task, run, ran=ran)
    if info is None and run.again is None:
        return _succeeded(done, retval)
    state = None if info is None else info.state
    done.error = None if info is None else info.retval
    done.traceback = getattr(retval, "traceback", None)
    if run.again is not None:
        done.outcome = Outcome(Kind.RETRY, charge=max(0, run.again.attempt - job.attempt))
        if isinstance(done.error, Retry) and done.error.exc is not None:
            done.error = done.error.exc
    elif state == celery_states.RETRY:
        _raised_retry(done)
    elif state == celery_states.REJECTED:
        requeue = isinstance(done.error, Reject) and done.error.requeue
        done.outcome = Outcome(Kind.REQUEUED if requeue else Kind.REJECTED)
    elif state == celery_states.IGNORED:
        _ignored(done)
    return done


def _succeeded(done: Done, retval: Any) -> Done:
    run = done.run
    done.outcome = Outcome(Kind.SUCCEEDED)
    done.result = None if run is None else run.result
    if done.result is None and not _ignores_result(done):
        # A result backend of the project's own took the value; the row keeps it too.
        try:
            done.result = payload.encode_result(done.job.task, retval)
        except PayloadError as error:
            done.outcome, done.error, done.reason = None, error, "unencodable"
    return done


def _ignores_result(done: Done) -> bool:
    return bool(done.task.ignore_result) or '"ignore_result":true' in done.job.headers


def _raised_retry(done: Done) -> None:
    """`raise Retry(...)` without self.retry() sends nothing in stock Celery; here it is a retry, within max_retries."""
    policy = policy_of(done.task, getattr(done.error, "exc", None))
    roll = random.random()  # noqa: S311 - spread, not secrecy
    wait = wait_before_retry(policy, done.job.attempt, roll, failing_for=done.job.failing_for or 0.0)
    if wait is None:
        done.reason = "exhausted"
        return
    when = getattr(done.error, "when", None)
    done.outcome = Outcome(Kind.RETRY, delay=float(when) if isinstance(when, int | float) else wait)


def _ignored(done: Done) -> None:
    """`raise Ignore()` ends the job with the state that update_state() last gave it, else as a success.

    `Snooze` and `Cancel` pass through Celery as kinds of it.
    """
    if isinstance(done.error, Snooze):
        done.outcome = Outcome(Kind.RETRY, delay=done.error.delay, charge=0)
        return
    if isinstance(done.error, Cancel):
        discarded = isinstance(done.error, Discarded)
        done.outcome = Outcome(Kind.CANCELLED, "discarded" if discarded else "cancelled")
        done.error = done.error.__cause__ if discarded else done.error
        return
    said = done.run.said if done.run is not None else None
    if said is not None and said[0] == celery_states.FAILURE:
        done.reason = "failed"
    elif said is not None and said[0] == celery_states.REVOKED:
        done.outcome, done.error = Outcome(Kind.REVOKED, charge=0), None
    else:
        done.outcome = Outcome(Kind.IGNORED)
        done.result = said[1] if said is not None else None
        done.error = None


def written(done: Done, ago: float) -> tuple[Written, Failure | None]:
    """Judge a run and return what to write of it: an ending or a return, and the story if it failed."""
    job, run = done.job, done.run
    if run is not None and run.settled:
        return None, None
    outcome = done.outcome or Outcome(Kind.FAILED, reason=done.reason or _reason(done))
    bounds = Bounds(max_losses=settings().MAX_LOSSES)
    verdict = judge(outcome, job.losses, bounds)
    if not verdict.final and run is not None and run.cancelled():
        verdict = judge(Outcome(Kind.REVOKED, charge=verdict.charge), job.losses, bounds)
    story = None
    if done.error is not None:
        story = failure(job, outcome.kind.value, done.error, done.traceback, done.ran)._replace(ago=ago)
    if not verdict.final:
        return _returned(done, verdict), story if verdict.charge else None
    ending = Ending(
        id=job.id,
        claim_no=job.claim_no,
        state=verdict.state,
        reason=verdict.reason,
        charge=verdict.charge,
        loss=verdict.loss,
        result=done.result,
        error=_error(done, verdict),
        children=run.children if run is not None else None,
        ran=done.ran,
        ago=ago,
    )
    return fingerprinted(ending, job.task, story), story if verdict.charge else None


def _reason(done: Done) -> str:
    if isinstance(done.error, PayloadError) and (done.run is None or done.run.result is None):
        return "unencodable"
    if isinstance(done.error, SoftTimeLimitExceeded):
        return "timeout"
    if isinstance(done.error, InDoubt):
        return "in_doubt"
    exhausted = done.run is not None and done.run.exhausted and done.job.attempt > 0
    return "exhausted" if exhausted else "failed"


def _error(done: Done, verdict: Verdict) -> str | None:
    """Return what a waiting `get()` raises."""
    if verdict.state == "cancelled" and done.error is not None:
        return error_json(TaskRevokedError(str(done.error) or verdict.reason))
    if verdict.state != "dead":
        return None
    said = done.run.said if done.run is not None else None
    if said is not None and said[0] == celery_states.FAILURE:
        return said[1]
    return error_json(done.error) if done.error is not None else None


def _returned(done: Done, verdict: Verdict) -> Return:
    job = done.job
    back = Return(
        id=job.id,
        claim_no=job.claim_no,
        reason=verdict.reason,
        charge=verdict.charge,
        loss=verdict.loss,
        delay=verdict.delay,
    )
    again = done.run.again if done.run is not None else None
    if again is None:
        return back
    return back._replace(
        delay=again.delay,
        run_at=again.run_at,
        queue=again.queue,
        priority=again.priority,
        args=again.args,
        kwargs=again.kwargs,
        headers=again.headers,
        expires_at=again.expires_at,
    )
