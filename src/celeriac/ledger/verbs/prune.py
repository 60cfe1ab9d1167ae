"""prune: deletes jobs that ended long ago. Moves none; it is the one verb after which a job is not there any more."""

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from celeriac import events
from celeriac.ledger import portable_prune
from celeriac.ledger.columns import BATCH
from celeriac.ledger.database import execute, is_postgresql

__all__ = ["LOOK", "Pruned", "prune"]

#: Jobs looked at in one go, of which at most a batch is deleted.
LOOK = 10_000

FIRST = UUID(int=0)


class Pruned(NamedTuple):
    """How many jobs were deleted, and after which id to go on; None: that was the last part of the table."""

    deleted: int
    next: UUID | None


def prune(
    after: UUID = FIRST,
    *,
    age: timedelta | None,
    dead_age: timedelta | None = None,
    limit: int = BATCH,
    look: int = LOOK,
    using: str | None = None,
) -> Pruned:
    """Look at some jobs past *after*, and delete those that ended too long ago, with all that is kept of them.

    *age* is for those that succeeded or were cancelled, *dead_age* for the dead; None keeps them for ever. Kept besides
    are jobs that still hold a key, and those that something waits for. What operators did to a job outlives it.
    """
    ages = {"age": age and age.total_seconds(), "dead_age": dead_age and dead_age.total_seconds()}
    if is_postgresql(using):
        [(deleted, last)] = execute("prune", {"after": after, "limit": limit, "look": look, **ages}, using)
    else:
        deleted, last = portable_prune.prune(after, age, dead_age, limit, look, using=using)
    if deleted:
        events.emit("prune", deleted=deleted)
    return Pruned(deleted, last)
