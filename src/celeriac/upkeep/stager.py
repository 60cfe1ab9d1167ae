"""What time does to jobs: due ones become ready, expired ones end, lanes go on, parked ones find a worker."""

from collections.abc import Callable, Collection
from uuid import UUID

from celeriac.ledger import bell
from celeriac.ledger.columns import BATCH
from celeriac.ledger.database import poll_seconds
from celeriac.ledger.rows import Settlement
from celeriac.ledger.verbs import admit, expire, stage, unpark
from celeriac.ledger.verbs.expire import cancelled

__all__ = ["stager"]


def stager(
    registered: Callable[[], Collection[str]],
    leads: Callable[[], bool],
    expiry: Callable[[UUID, str, str], Settlement] = cancelled,
) -> Callable[[], float]:
    """Return a round for a `Loop`: the leader does it for all; each worker unparks what it alone knows.

    *registered* names the tasks this worker knows, *expiry* says how what expired ends.
    """

    def round_() -> float:
        unparked = unpark(registered())
        bell.ring_ready(unparked)
        if not leads():
            return max(1.0, poll_seconds())
        staged = stage()
        expired = expire(end=expiry)
        admitted = admit()  # last: what expired may have had the turn of a lane
        bell.ring_ready({*staged.queues, *expired.freed, *admitted} - {bell.SCHEDULED})
        if expired.ids:
            bell.ring_done()
        if BATCH in (staged.count, len(expired.ids), sum(admitted.values())):
            return 0.0  # a full batch: there is more
        rest = poll_seconds()
        # A job that is due and still there is locked by somebody: no reason to spin.
        return rest if staged.next_due is None else min(rest, max(0.01, staged.next_due))

    return round_
