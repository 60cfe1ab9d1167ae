"""claim: ready → running. Bumps `claim_no`, the fence that every later write of this run must name."""

from uuid import UUID

from celeriac import events
from celeriac.ledger import portable
from celeriac.ledger.database import Using, alias_of, execute, is_postgresql
from celeriac.ledger.rows import ClaimedJob

__all__ = ["claim"]


def claim(worker: UUID, queue: str, limit: int, *, using: Using = None) -> list[ClaimedJob]:
    """Claim up to *limit* jobs of *queue* for *worker*, most urgent first, then oldest; none from a paused queue."""
    if is_postgresql(using):
        params = {"worker": worker, "queue": queue, "limit": limit}
        jobs = [ClaimedJob(*row) for row in execute("claim", params, using)]
    else:
        jobs = portable.claim(worker, queue, limit, using=alias_of(using))
    # RETURNING has no order of its own.
    jobs.sort(key=lambda job: (-job.priority, job.run_at, job.id))
    if jobs:
        events.emit("claim", jobs=jobs, worker=worker)
    return jobs
