"""expire: waiting, scheduled or ready → cancelled (or dead), for jobs past `expires_at` or not to be started again."""

from collections.abc import Callable
from uuid import UUID

from celeriac import events
from celeriac.ledger import portable_ends
from celeriac.ledger.columns import BATCH
from celeriac.ledger.database import execute, is_postgresql, writing
from celeriac.ledger.rows import Settlement
from celeriac.ledger.verbs.settle import Settled, bring_to_end

__all__ = ["cancelled", "expire"]


def cancelled(id_: UUID, task: str, asked: str) -> Settlement:  # noqa: ARG001 - one of its kind
    """Return the end of a job that nobody may start any more: revoked if somebody asked for it, else expired."""
    return Settlement(id_, "cancelled", "revoked" if asked else "expired")


def expire(
    limit: int = BATCH, end: Callable[[UUID, str, str], Settlement] = cancelled, *, using: str | None = None
) -> Settled:
    """End up to *limit* jobs that expired before a worker could start them, or came back after `cancel` marked them.

    *end* is given the id, the task and what somebody asked while it ran ("" if nobody did).
    """
    if not is_postgresql(using) and not portable_ends.anything_expired(using=using):
        return Settled([], [])  # without the write lock: this is asked ten times a second on SQLite
    with writing(using):
        if is_postgresql(using):
            found = [(id_, task, asked) for id_, task, asked in execute("expiring", {"limit": limit}, using)]
        else:
            found = portable_ends.expiring(limit, using=using)
        expired = bring_to_end([end(*job) for job in found], using=using)
    if expired.ids:
        events.emit("expire", settled=expired)
    return expired
