"""release: running → ready, for jobs of a claim that did not start. Costs no attempt."""

from collections.abc import Sequence

from celeriac import events
from celeriac.ledger import portable
from celeriac.ledger.database import execute, is_postgresql
from celeriac.ledger.rows import ClaimedJob

__all__ = ["release"]


def release(jobs: Sequence[ClaimedJob], *, using: str | None = None) -> dict[str, int]:
    """Give *jobs* back and return {queue: how many were still ours to give}."""
    if not jobs:
        return {}
    if is_postgresql(using):
        params = {"id": [job.id for job in jobs], "claim_no": [job.claim_no for job in jobs]}
        released = dict(execute("release", params, using))
    else:
        released = portable.release(jobs, using=using)
    events.emit("release", released=released)
    return released
