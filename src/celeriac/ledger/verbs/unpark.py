"""unpark: waiting → ready, for jobs parked because no worker knew their task."""

from collections.abc import Collection

from celeriac import events
from celeriac.ledger import portable
from celeriac.ledger.columns import BATCH
from celeriac.ledger.database import execute, is_postgresql

__all__ = ["UNREGISTERED", "unpark"]

UNREGISTERED = "unregistered"


def unpark(tasks: Collection[str], limit: int = BATCH, *, using: str | None = None) -> dict[str, int]:
    """Make ready the parked jobs of *tasks* (names this worker has registered); return {queue: how many}."""
    if is_postgresql(using):
        unparked = dict(execute("unpark", {"tasks": list(tasks), "limit": limit}, using))
    else:
        unparked = portable.unpark(tasks, limit, using=using)
    if unparked:
        events.emit("unpark", unparked=unparked)
    return unparked
