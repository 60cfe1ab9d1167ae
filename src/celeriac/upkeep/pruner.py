"""Deleting what ended longer ago than the settings say, in whichever worker leads: a sweep over the table, in parts."""

from collections.abc import Callable

from celeriac.conf import settings
from celeriac.ledger.verbs import prune
from celeriac.ledger.verbs.prune import FIRST

__all__ = ["pruner", "sweep_seconds"]

#: Between two parts of a sweep, so that a large table is no burden: 10,000 jobs are looked at in some ten milliseconds.
PART_SECONDS = 0.1

MINUTE, HOUR = 60.0, 3600.0


def pruner(leads: Callable[[], bool]) -> Callable[[], float]:
    """Return a round for a `Loop`: one part of the sweep, or nothing until the next sweep is due."""
    after = FIRST

    def round_() -> float:
        nonlocal after
        age, dead_age = settings().RETENTION, settings().DEAD_RETENTION
        if age is None and dead_age is None:
            return HOUR
        if not leads():
            after = FIRST
            return MINUTE
        pruned = prune(after, age=age, dead_age=dead_age)
        after = pruned.next or FIRST
        return sweep_seconds() if pruned.next is None else PART_SECONDS

    return round_


def sweep_seconds() -> float:
    """Return the seconds between two sweeps: short beside the time for which jobs are kept."""
    ages = [age.total_seconds() for age in (settings().RETENTION, settings().DEAD_RETENTION) if age is not None]
    return min(HOUR, max(MINUTE, min(ages, default=HOUR) / 100))
