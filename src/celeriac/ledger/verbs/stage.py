"""stage: scheduled → ready, for what is due."""

from dataclasses import dataclass

from celeriac import events
from celeriac.ledger import portable
from celeriac.ledger.columns import BATCH
from celeriac.ledger.database import execute, is_postgresql

__all__ = ["Staged", "stage"]


@dataclass(frozen=True, slots=True)
class Staged:
    """What a stage did: rows moved, their queues, and the seconds until the next job is due (None: none is)."""

    count: int
    queues: list[str]
    next_due: float | None


def stage(limit: int = BATCH, *, using: str | None = None) -> Staged:
    """Make ready up to *limit* jobs whose time has come."""
    if is_postgresql(using):
        [(count, queues, next_due)] = execute("stage", {"limit": limit}, using)
    else:
        count, queues, next_due = portable.stage(limit, using=using)
    if count:
        events.emit("stage", count=count, queues=queues)
    return Staged(count, queues or [], next_due)
