"""Giving the jobs of lost workers back, in whichever worker leads."""

import logging
from collections.abc import Callable
from functools import partial

from celeriac.conf import settings
from celeriac.ledger import bell, queries
from celeriac.ledger.rows import ClaimedJob, Sighting
from celeriac.ledger.verbs import Judged, Rescued, rescue
from celeriac.upkeep.census import Census

__all__ = ["rescuer"]

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

    def round_() -> float:
        if not leads():
            census.forget()
            return heartbeat / 4
        began = clock()
        sightings = queries.sightings()
        if not leads() or clock() - began > heartbeat:
            census.forget()  # the database was away meanwhile: who could not renew is not dead
            return heartbeat / 4
        for lost in census.observe(sightings, clock(), steady()):
            _rescue(lost, judge, tell)
        return census.rest(sightings)

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
