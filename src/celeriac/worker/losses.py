"""What becomes of jobs whose process, or whose whole worker, died. Decides only; others write.

A pool process that dies leaves the flight recorder: the job whose body was running is charged, its claim-mates are not.
A worker that dies whole, with its host perhaps, leaves nothing but its rows. Then every job it held is a suspect: given
back uncharged, and from then on run one after the other, each end written before the next start. If its worker dies
again, the first suspect in line is the one that was running. So a poison pill that takes whole workers along is found,
and its neighbours pay nothing.
"""

from collections.abc import Sequence

from celery.exceptions import TaskRevokedError, WorkerLostError

from celeriac.conf import settings
from celeriac.ledger.rows import ClaimedJob, Ending, Return, Sighting
from celeriac.ledger.verbs import Judged
from celeriac.outcomes import Bounds, Kind, Outcome, judge
from celeriac.worker.story import error_json, failure, fingerprinted

__all__ = ["judge_blamed", "judge_orphans", "line", "loss_of"]


def line(job: ClaimedJob) -> tuple[object, ...]:
    """Return the key that sorts jobs in the order in which a claim runs them."""
    return -job.priority, job.run_at, job.id


def judge_blamed(jobs: Sequence[ClaimedJob], kind: Kind, error: Exception, evidence: str = "") -> Judged:
    """Return the verdicts on *jobs* whose process died of *error* while it ran them; *evidence* is kept with it."""
    bounds = Bounds(max_losses=settings().MAX_LOSSES)
    judged = Judged([], [], [])
    for job in jobs:
        verdict = judge(Outcome(kind), job.losses, bounds)
        text = f"{type(error).__name__}: {error}\n{evidence}".strip()
        story = failure(job, kind.value, error, text)
        if verdict.charge:
            judged.failures.append(story)
        if verdict.final:
            ending = Ending(job.id, job.claim_no, verdict.state, verdict.reason, verdict.charge, verdict.loss)
            # What a waiting get() raises.
            cause = TaskRevokedError(verdict.reason) if verdict.state == "cancelled" else error
            judged.endings.append(fingerprinted(ending._replace(error=error_json(cause)), job.task, story))
        else:
            back = Return(job.id, job.claim_no, "", verdict.charge, verdict.loss, verdict.delay)
            judged.returns.append(back._replace(suspect=verdict.suspect or job.suspect))
    return judged


def loss_of(lost: Sighting) -> WorkerLostError:
    """Return the loss of a worker as an error."""
    ended = ", its session has ended" if lost.ended else ""
    name = lost.hostname or lost.id
    return WorkerLostError(f"Worker {name} (pid {lost.pid}) was lost: not seen for {lost.age:.1f} s{ended}.")


def judge_orphans(lost: Sighting, held: Sequence[ClaimedJob]) -> Judged:
    """Return the verdicts on the jobs that a lost worker *held*."""
    suspects = sorted((job for job in held if job.suspect), key=line)
    blamed = suspects[:1]
    error = loss_of(lost)
    charged = judge_blamed(blamed, Kind.LOST, error)
    others = judge_blamed([job for job in held if job not in blamed], Kind.ORPHANED, error)
    return Judged([*charged.returns, *others.returns], charged.endings, charged.failures)
