"""admit: waiting → ready, for the first in line of each lane whose turn nobody has."""

from django.db import IntegrityError, transaction

from celeriac import events, faults
from celeriac.ledger import portable_lanes
from celeriac.ledger.columns import BATCH
from celeriac.ledger.database import alias_of, execute, is_postgresql

__all__ = ["admit"]


def admit(limit: int = BATCH, *, using: str | None = None) -> dict[str, int]:
    """Give up to *limit* jobs their lane's turn, most urgent first, then oldest; return {queue: how many}.

    A job has its turn from here until it has ended, whatever becomes of it in between. Two who admit at once choose the
    same jobs, and should they not, the unique index on `turn` refuses one of them: it has admitted nothing then.
    """
    try:
        with transaction.atomic(using=alias_of(using)):
            if is_postgresql(using):
                admitted = dict(execute("admit", {"limit": limit}, using))
            else:
                admitted = portable_lanes.admit(limit, using=using)
    except IntegrityError:
        return {}
    faults.point("admit.after_statement")
    if admitted:
        events.emit("admit", admitted=admitted)
    return admitted
