"""renew: a worker's heartbeat. Moves no job; it is what `rescue` later judges a worker by. And its end, `leave`."""

import math
from uuid import UUID

from django.db.models import F

from celeriac.ledger import portable_presence
from celeriac.ledger.database import execute, is_postgresql, keeps_sessions, writing
from celeriac.ledger.models import Lease, Worker
from celeriac.ledger.portable_presence import UPKEEP
from celeriac.ledger.rows import Present, Renewal

__all__ = ["UPKEEP", "leave", "renew"]

NOBODY = UUID(int=0)


def renew(
    present: Present,
    stale: int | None = None,
    *,
    settled: bool = True,
    settles: float = math.inf,
    using: str | None = None,
) -> Renewal:
    """Write that the worker is there, and bid for the lead. One statement on PostgreSQL.

    *stale* is the number of a lease that the caller has seen unchanged for too long: it may be taken over. Nothing here
    compares times of two clocks. Who is not *settled* does not take over from a leader whose session has ended, but a
    newcomer does where another worker's session has held for more than *settles* seconds.
    """
    if not is_postgresql(using):
        return portable_presence.renew(present, stale, using=using)
    params = {
        **present._asdict(),
        "lock": present.lock,
        "may_lock": keeps_sessions(using),
        "stale": stale,
        "settled": settled,
        "settles": settles,
    }
    [row] = execute("renew", params, using)
    return Renewal(*row)


def leave(worker: UUID, *, using: str | None = None) -> None:
    """Remove the worker's row and give up its lead: it holds nothing any more."""
    with writing(using) as alias:
        # Held by nobody there is; its number goes on, for a number that came again would be taken for one that stood.
        lease = Lease.objects.using(alias).filter(name=UPKEEP, holder=worker)
        lease.update(holder=NOBODY, number=F("number") + 1)
        Worker.objects.using(alias).filter(id=worker).delete()
