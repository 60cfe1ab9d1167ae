"""Local times as instants: what a wall clock shows, where clocks are set forward or back. Pure.

A wall time may be none (skipped), one, or two instants (repeated). PEP 495 says which by `fold`; the rest is here.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

__all__ = ["moments", "offset_of"]

DAY = timedelta(days=1)


def moments(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the instants, in UTC, at which the clock of *zone* shows the naive time *wall*.

    A skipped time is the one instant at which the clock was set forward: what should have run in the skipped hour runs
    as soon as there is a time after it, as cron does (Vixie cron 3.0, cron.c, "jobs for the skipped time").
    """
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return [first]
    if first < second:
        return [first, second]
    # Set forward: by the offset before the gap it is too late, by the one after it too early.
    return [_change_between(second, first, zone)]


def _change_between(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """Return when the zone's offset changes, to the second; bisection, since zoneinfo does not tell."""
    after = late.astimezone(zone).utcoffset()
    low, high = int(early.timestamp()), int(late.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == after:
            high = middle
        else:
            low = middle
    return datetime.fromtimestamp(high, UTC)


def offset_of(day: date, zone: ZoneInfo) -> timedelta | None:
    """Return the offset that holds for all of *day* and some hours around it, or None where it changes."""
    noon = datetime.combine(day, time(12), tzinfo=zone)
    offsets = {(noon + step).replace(fold=fold).utcoffset() for step in (-DAY, DAY * 0, DAY) for fold in (0, 1)}
    return offsets.pop() if len(offsets) == 1 else None
