"""expire: waiting, scheduled or ready → cancelled, for jobs past `expires_at` or not to be started again."""

from celeriac import events
from celeriac.ledger import portable_ends
from celeriac.ledger.columns import BATCH
from celeriac.ledger.database import execute, is_postgresql, writing
from celeriac.ledger.rows import Settlement
from celeriac.ledger.verbs.settle import Settled, bring_to_end

__all__ = ["expire"]


def expire(limit: int = BATCH, *, using: str | None = None) -> Settled:
    """Cancel up to *limit* jobs that expired before a worker could start them, or came back after `cancel` marked them.

    A job that somebody asked to cancel while it ran has the reason "revoked", whatever its expiry.
    """
    if not is_postgresql(using) and not portable_ends.anything_expired(using=using):
        return Settled([], [])  # without the write lock: this is asked ten times a second on SQLite
    with writing(using):
        if is_postgresql(using):
            found = [(id_, asked) for id_, asked in execute("expiring", {"limit": limit}, using)]
        else:
            found = portable_ends.expiring(limit, using=using)
        settlements = [Settlement(id_, "cancelled", "revoked" if asked else "expired") for id_, asked in found]
        expired = bring_to_end(settlements, using=using)
    if expired.ids:
        events.emit("expire", settled=expired)
    return expired
