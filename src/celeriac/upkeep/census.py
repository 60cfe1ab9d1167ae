"""Telling the lost from the living: arithmetic on what one observer saw of the workers, on its own steady clock.

Two ways to be lost, because each alone is wrong somewhere:

quickly   The session that wrote the last renewal is gone while the server stayed up (its advisory lock says so, for
          ENDED heartbeats), and a renewal was missed. A killed process is known within MISSED heartbeats. Not believed
          until somebody's sessions have held for RETURNED: what cut everybody's is an outage, and the living need time
          to return.
slowly    No renewal for LEASE heartbeats. Seen by the observer itself where it can, since a stepped clock makes rows
          look old: then a last chance to renew, of CHANCE heartbeats, comes before.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from celeriac.ledger.rows import Sighting

__all__ = ["CHANCE", "ENDED", "LEASE", "MISSED", "RETURNED", "Census"]

#: In heartbeats. A renewal is missed when this has passed since the last: the time of one, and slack for a slow write.
MISSED = 1.25
LEASE = 6.0
CHANCE = 2.0

#: A session has to be gone for this long: a living worker replaces one that was cut at once.
ENDED = 0.125

#: In heartbeats: within this, the living are back after an outage (`worker.presence` tries twice as often).
RETURNED = 1.0

#: Looks are never closer than this, in heartbeats; but one at somebody whose session has ended comes just in time.
CLOSEST = 0.125


class Census:
    """What one observer remembers of each worker: the renewal it saw last, and since when."""

    def __init__(self, heartbeat: float) -> None:
        self.heartbeat = heartbeat  # of those whose row is gone: as our own
        self._seen: dict[UUID, tuple[datetime | None, float]] = {}
        self._ended: dict[UUID, float] = {}  # since when its session is seen to have ended
        self._looked = 0.0

    def forget(self) -> None:
        """Start again: while we could not look, anything may have happened."""
        self._seen.clear()
        self._ended.clear()

    def observe(self, sightings: Sequence[Sighting], now: float, steady: float) -> list[Sighting]:
        """Take in a look at the table; return who is lost.

        *now* is the observer's steady clock, *steady* for how many seconds it has reached the database without a break.
        """
        before, self._seen, self._looked = self._seen, {}, now
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
        missed = max(worker.age, unchanged) > MISSED * beat
        if missed and min(ended, unchanged) >= ENDED * beat and steady > RETURNED * beat:
            return True
        old = worker.seen_at is not None and worker.age > LEASE * beat
        return unchanged > LEASE * beat or (old and unchanged > CHANCE * beat)

    def rest(self, sightings: Sequence[Sighting]) -> float:
        """Return the seconds until somebody may be found lost, or to have missed a renewal."""
        return min([self.heartbeat / 2, *(self._wait(worker) + 0.01 for worker in sightings)])

    def _wait(self, worker: Sighting) -> float:
        beat, closest = worker.heartbeat or self.heartbeat, CLOSEST * self.heartbeat
        missed = MISSED * beat - worker.age
        if worker.id not in self._ended:
            return max(closest, missed)
        wait = max(missed, ENDED * beat - (self._looked - self._ended[worker.id]))
        return wait if wait > 0 else closest
