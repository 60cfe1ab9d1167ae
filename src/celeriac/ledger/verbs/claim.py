"""claim: ready → running. Bumps `claim_no`, the fence that every later write of this run must name."""

from collections.abc import Callable
from uuid import UUID

from celeriac import events
from celeriac.ledger import portable
from celeriac.ledger.database import Using, alias_of, committed, execute_ahead, is_postgresql
from celeriac.ledger.rows import ClaimedJob

__all__ = ["claim", "claim_ahead"]


def claim(worker: UUID, queue: str, limit: int, *, using: Using = None) -> list[ClaimedJob]:
    """Claim up to *limit* jobs of *queue* for *worker*, most urgent first, then oldest; none from a paused queue."""
    jobs, commit = claim_ahead(worker, queue, limit, using=using)
    commit()
    return jobs


def claim_ahead(
    worker: UUID, queue: str, limit: int, *, using: Using = None
) -> tuple[list[ClaimedJob], Callable[[], None]]:
    """Claim as `claim` does; return the jobs and a function that returns once the claim is committed.

    Until it has, no body may start, and nothing else may be done on the connection. If it raises, nobody knows whether
    the jobs are ours: then they must not be given back by their `claim_no`, which may be another's by now.
    """
    if is_postgresql(using):
        rows, wait = execute_ahead("claim", {"worker": worker, "queue": queue, "limit": limit}, using)
        jobs = [ClaimedJob(*row) for row in rows]
    else:
        jobs, wait = portable.claim(worker, queue, limit, using=alias_of(using)), committed
    # RETURNING has no order of its own.
    jobs.sort(key=lambda job: (-job.priority, job.run_at, job.id))

    def commit() -> None:
        wait()
        if jobs:
            events.emit("claim", jobs=jobs, worker=worker)

    return jobs, commit
