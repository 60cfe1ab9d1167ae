"""discard: dead → cancelled, by an operator who has seen it and wants nothing more of it."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from celeriac import events
from celeriac.ledger import portable_operators
from celeriac.ledger.audit import Action
from celeriac.ledger.database import execute, is_postgresql, writing
from celeriac.ledger.rows import Operated

__all__ = ["discard"]


def discard(action: Action, ids: Sequence[UUID], *, using: str | None = None) -> Operated:
    """Put dead jobs away with the reason "discarded", for *action*, and write for each a `Change`.

    Error, times and attempts stay. Skipped are jobs that are not dead, or died after *action* was asked for.
    """
    ids = sorted(set(ids))
    with writing(using):
        if is_postgresql(using):
            params = {"id": ids, "action": action.pk, "until": action.created_at}
            rows = execute("discard", params, using)
        else:
            rows = portable_operators.discard(action, ids, using=using)
    changed = [(id_, before) for id_, before, _, skip in rows if not skip]
    operated = Operated(changed, dict(Counter(skip for *_, skip in rows if skip)), [])
    if rows:
        events.emit("discard", action=action, operated=operated)
    return operated
