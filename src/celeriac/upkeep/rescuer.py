"""Giving the jobs of lost workers back, in whichever worker leads."""

import logging
import math
from collections.abc import Callable
from functools import partial

from celeriac.conf import settings
from celeriac.ledger import bell, queries
from celeriac.ledger.database import is_postgresql, keeps_sessions
from celeriac.ledger.rows import ClaimedJob, Sighting
from celeriac.ledger.verbs import Judged, Rescued, rescue
from celeriac.upkeep.census import Census

__all__ = ["rescuer"]

#: In heartbeats: the time between two looks of a worker that does not lead, where only time tells of the dead. Leaders
#: may die one after the other, and each that began to look anew would give all others its last chance again.
FOLLOWS = 2.0

logger = logging.getLogger("celeriac")

Judge = Callable[[Sighting, list[ClaimedJob]], Judged]


def rescuer(
    leads: Callable[[], bool],
    clock: Callable[[], float],
    steady: Callable[[], float],
    judge: Judge,
    tell: Callable[[Sighting, Rescued], None],
) -> Callable[[], float]:
    """Return a round for a `Loop`: looks at all workers, and rescues the jobs of those that are lost.

    *steady* gives the seconds for which this process has reached the database without a break, *judge* decides what
    becomes of a lost worker's jobs, *tell* is called once it is written, for those that ended.
    """
    heartbeat = settings().HEARTBEAT_SECONDS
    census = Census(heartbeat)
    followed = looked = -math.inf

    def look(now: float) -> tuple[list[Sighting], list[Sighting]]:
        """Return all workers and those that are lost; nobody is, where we or the database stood still meanwhile."""
        nonlocal looked
        if followed == looked and now - looked > (FOLLOWS + 1) * heartbeat:
            census.forget()  # a leader that is stopped knows by its lease; a follower has none
        sightings = queries.sightings()
        looked = clock()
        if looked - now > heartbeat:
            census.forget()  # the database was away: who could not renew is not dead
            return [], []
        return sightings, census.observe(sightings, looked, steady())

    def follow(now: float) -> None:
        """Look at the workers as a leader would, but seldom, so as not to begin at nothing when it is our turn."""
        nonlocal followed
        if is_postgresql() and keeps_sessions():
            census.forget()  # the dead are told by their sessions, at once
        elif now - looked >= FOLLOWS * heartbeat:
            look(now)
            followed = looked

    def round_() -> float:
        if not leads():
            follow(clock())
            return heartbeat / 4
        sightings, lost = look(clock())
        if not leads():
            census.forget()
            return heartbeat / 4
        for worker in lost:
            _rescue(worker, judge, tell)
        return census.rest(sightings) if sightings else heartbeat / 4

    return round_


def _rescue(lost: Sighting, judge: Judge, tell: Callable[[Sighting, Rescued], None]) -> None:
    rescued = rescue(lost, partial(judge, lost))
    if rescued is None:
        return  # it renewed after all, or another is at it
    bell.ring_ready([*rescued.queues, bell.SCHEDULED] if rescued.later else rescued.queues)
    if rescued.judged.endings:
        bell.ring_done()
    logger.error(
        "Worker %s (pid %d, %s) is lost: not seen for %.1f s%s. %d jobs were taken from it.",
        *(lost.hostname or "without a row", lost.pid, lost.id, lost.age),
        *(", its session has ended" if lost.ended else "", len(rescued.held)),
    )
    tell(lost, rescued)
