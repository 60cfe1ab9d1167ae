"""Leadership: which worker does for all what one has to do.

The lease is a counter that its holder moves on with every heartbeat. Who has seen it stand still for too long, on its
own steady clock, may take it over; a holder that has not moved it for that long no longer believes in itself. So no two
clocks are compared: a stepped one changes nothing, and a stopped holder that wakes up knows that it leads no more.

It saves work and is no lock: what a leader does is safe when two do it, for the verbs are.
"""

import math
from uuid import UUID

from celeriac.ledger.rows import Renewal
from celeriac.upkeep.census import ENDED, LEASE, MISSED

__all__ = ["Leadership"]

#: In heartbeats: for so long somebody dead may be overdue before others ask whether the leader is dead as well.
LATE = 0.05


class Leadership:
    """What one worker knows of the lease. Times are seconds of its own steady clock."""

    def __init__(self, me: UUID, heartbeat: float) -> None:
        self.me = me
        self.heartbeat = heartbeat
        self.tenure = MISSED * heartbeat
        self._number = -1
        self._since = 0.0  # when the number was first seen
        self._until = 0.0  # we lead until then
        self._overdue = math.inf  # the leader should have been at somebody dead by then

    def stale(self, now: float) -> int | None:
        """Return the number that may be taken over, if it has stood still for too long."""
        return self._number if self._number >= 0 and now - self._since >= self.tenure else None

    def told(self, renewal: Renewal, asked: float, now: float) -> None:
        """Take in what a renewal found; *asked* is when it was sent, *now* when its answer came."""
        if renewal.number != self._number:
            self._number, self._since = renewal.number, now
        self._until = asked + self.tenure if renewal.holder == self.me else 0.0
        self._overdue = math.inf
        # After a lease the leader is not late: it cannot, and to ask eight times a heartbeat helps nobody.
        if renewal.unseen is not None and renewal.unseen < LEASE * self.heartbeat and renewal.holder != self.me:
            due = (MISSED + LATE) * self.heartbeat - renewal.unseen
            self._overdue = now + max(due, ENDED * self.heartbeat)

    def leads(self, now: float) -> bool:
        """Whether this worker leads."""
        return now < self._until

    def rest(self, now: float, heartbeat: float) -> float:
        """Return the seconds until the next renewal: a heartbeat, or less.

        Less if the lease may be free before, or the leader late with somebody dead: then it is probably dead too.
        """
        return min(heartbeat, max(0.01, min(self._since + self.tenure, self._overdue) - now))
