"""Local times as instants: what a wall clock shows, where clocks are set forward or back. Pure.

A wall time may be shown at no instant (skipped), at one, or at two (repeated). PEP 495 says which by `fold`; the rest
is here. Wall times are naive, instants aware and in UTC.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

__all__ = ["DAY", "change_after", "reached", "shown", "wall_at"]

DAY = timedelta(days=1)


def wall_at(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return what the clock of *zone* shows at *instant*."""
    return instant.astimezone(zone).replace(tzinfo=None)


def shown(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the instants at which the clock of *zone* shows *wall*: none, one, or two."""
    first, second = _instants(wall, zone)
    if first == second:
        return [first]
    return [first, second] if first < second else []


def reached(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant at which the clock of *zone* shows *wall* or a later time.

    Of a skipped time that is when the clock was set forward, as for cron's jobs; of a repeated one it is the first.
    """
    first, second = _instants(wall, zone)
    # Set forward: by the offset before the gap it is too late, by the one after it too early.
    return first if first <= second else _change_between(second, first, zone)


def change_after(instant: datetime, zone: ZoneInfo) -> datetime | None:
    """Return when the clock of *zone* is set within a day after *instant*, or None. No zone's was set twice in one."""
    later = instant + DAY
    if instant.astimezone(zone).utcoffset() == later.astimezone(zone).utcoffset():
        return None
    return _change_between(instant, later, zone)


def _instants(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    return [wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]


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
