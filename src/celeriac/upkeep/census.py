"""Telling the lost from the living: arithmetic on what one observer saw of the workers, on its own steady clock.

Two ways to be lost, because each alone is wrong somewhere:

quickly   The session that wrote the last renewal is gone while the server stayed up (its advisory lock says so, for
          ENDED heartbeats), and a renewal was missed. A killed process is known within MISSED heartbeats. Not believed
          until the observer's own sessions have held that long: what cut everybody's sessions is an outage, and the
          living need time to return.
slowly    No renewal for LEASE heartbeats. Seen by the observer itself where it can, since a stepped clock makes rows
          look old: then a last chance to renew, of CHANCE heartbeats, comes before.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from celeriac.ledger.rows import Sighting

__all__ = ["CHANCE", "ENDED", "LEASE", "MISSED", "Census"]

#: In heartbeats. A renewal is missed when this has passed since the last: the time of one, and slack for a slow write.
MISSED = 1.25
LEASE = 6.0
CHANCE = 2.0

#: A session has to be gone for this long: a living worker replaces one that was cut at once.
ENDED = 0.125

#: Looks are never closer than this, in heartbeats.
CLOSEST = 0.125


class Census:
    """What one observer remembers of each worker: the renewal it saw last, and since when."""

    def __init__(self, heartbeat: float) -> None:
        self.heartbeat = heartbeat  # of those whose row is gone: as our own
        self._seen: dict[UUID, tuple[datetime | None, float]] = {}
        self._ended: dict[UUID, float] = {}  # since when its session is seen to have ended

    def forget(self) -> None:
        """Start again: while we could not look, anything may have happened."""
        self._seen.clear()
        self._ended.clear()

    def observe(self, sightings: Sequence[Sighting], now: float, steady: float) -> list[Sighting]:
        """Take in a look at the table; return who is lost.

        *now* is the observer's steady clock, *steady* for how many seconds it has reached the database without a break.
        """
        before, self._seen = self._seen, {}
        self._ended = {worker.id: self._ended.get(worker.id, now) for worker in sightings if worker.ended}
        lost = []
        for worker in sightings:
            value, since = before.get(worker.id, (None, now))
            if worker.id not in before or value != worker.seen_at:
                since = now
            self._seen[worker.id] = (worker.seen_at, since)
            ended = now - self._ended.get(worker.id, now)
            if self._is_lost(worker, now - since, ended, steady):
                lost.append(worker)
        return lost

    def _is_lost(self, worker: Sighting, unchanged: float, ended: float, steady: float) -> bool:
        beat = worker.heartbeat or self.heartbeat
        if min(ended, unchanged) >= ENDED * beat and min(max(worker.age, unchanged), steady) > MISSED * beat:
            return True
        old = worker.seen_at is not None and worker.age > LEASE * beat
        return unchanged > LEASE * beat or (old and unchanged > CHANCE * beat)

    def rest(self, sightings: Sequence[Sighting]) -> float:
        """Return the seconds until somebody may have missed a renewal."""
        waits = [MISSED * (worker.heartbeat or self.heartbeat) - worker.age for worker in sightings]
        soonest = 0.0 if self._ended else min(waits, default=self.heartbeat)
        return min(self.heartbeat / 2, max(CLOSEST * self.heartbeat, soonest + 0.01))
