"""expire: waiting, scheduled or ready → cancelled, for jobs past `expires_at`."""

from celeriac import events
from celeriac.ledger import portable
from celeriac.ledger.columns import BATCH
from celeriac.ledger.database import execute, is_postgresql, writing
from celeriac.ledger.rows import Settlement
from celeriac.ledger.verbs.settle import Settled, bring_to_end

__all__ = ["expire"]


def expire(limit: int = BATCH, *, using: str | None = None) -> Settled:
    """Cancel up to *limit* jobs that expired before a worker could start them."""
    if not is_postgresql(using) and not portable.anything_expired(using=using):
        return Settled([], [])  # without the write lock: this is asked ten times a second on SQLite
    with writing(using):
        if is_postgresql(using):
            ids = [row[0] for row in execute("expiring", {"limit": limit}, using)]
        else:
            ids = portable.expiring(limit, using=using)
        settlements = [Settlement(id=id_, state="cancelled", reason="expired") for id_ in ids]
        expired = bring_to_end(settlements, using=using)
    if expired.ids:
        events.emit("expire", settled=expired)
    return expired
