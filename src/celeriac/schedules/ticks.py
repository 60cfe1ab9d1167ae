"""When a schedule is due: pure functions from a schedule and an instant to the next instant. No Django, no Celery.

Each kind of schedule answers one question, `after(instant)`: the first instant after this one at which it is due, or
None for never. The answer depends on nothing else, so all schedulers that ask find the same instants. Instants are
aware datetimes in UTC, of whole seconds where the schedule is a calendar's.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from celeriac.schedules.zones import DAY, moments, offset_of

__all__ = ["Bounded", "Clocked", "Crontab", "Days", "Every", "Solar", "Timing", "upcoming"]

#: 29 February on a given weekday comes again after 40 years at most (around a year like 2100, which has none).
FAR_YEARS = 41


class Timing(Protocol):
    """What is due at instants that can be told in advance."""

    def after(self, instant: datetime) -> datetime | None:
        """Return the first instant after *instant* at which this is due; None: it never is again."""


def upcoming(timing: Timing, after: datetime, until: datetime | None = None) -> Iterator[datetime]:
    """Yield the instants after *after*, up to and with *until*, in order."""
    instant = timing.after(after)
    while instant is not None and (until is None or instant <= until):
        yield instant
        instant = timing.after(instant)


@dataclass(frozen=True)
class Crontab:
    """Minutes, hours and days on the wall clock of a time zone. Day of month and day of week must both fit, as in
    Celery; 0 is Sunday.

    When clocks are set forward, what was due in the skipped time is due at once, at the end of it, and once. When they
    are set back, what is due at given hours is due in the first pass only. What is due in every hour follows the clock
    instead: it skips what the clock skips, and repeats what it repeats.
    """

    minute: frozenset[int]
    hour: frozenset[int]
    day_of_month: frozenset[int] = frozenset(range(1, 32))
    month_of_year: frozenset[int] = frozenset(range(1, 13))
    day_of_week: frozenset[int] = frozenset(range(7))
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    @property
    def hourly(self) -> bool:
        """Whether it is due in every hour of a day."""
        return len(self.hour) == 24

    def after(self, instant: datetime) -> datetime | None:
        """Return the first instant after *instant*."""
        # A day early: where clocks go back across midnight, the day before comes again.
        day = instant.astimezone(self.zone).date() - DAY
        for _ in range(2):
            found = self._first(day, instant) if self._fits(day) else None
            if found is not None:
                return found
            day += DAY
        last = day.year + FAR_YEARS
        while day.year <= min(last, 9998):
            if day.month not in self.month_of_year:
                day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
                continue
            found = self._first(day, instant) if self._fits(day) else None
            if found is not None:
                return found
            day += DAY
        return None

    def _fits(self, day: date) -> bool:
        return (
            day.month in self.month_of_year
            and day.day in self.day_of_month
            and day.isoweekday() % 7 in self.day_of_week
        )

    def _first(self, day: date, instant: datetime) -> datetime | None:
        """Return the first instant of a local *day* after *instant*, or None when they are over."""
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall clock's
        times = _times(self.hour, self.minute)
        offset = offset_of(day, self.zone)
        if offset is not None:
            start = (midnight - offset).replace(tzinfo=UTC)
            at = bisect_right(times, instant - start)
            return start + times[at] if at < len(times) else None
        found = set()
        for time in times:
            both = moments(midnight + time, self.zone)
            is_skipped = both[0].astimezone(self.zone).replace(tzinfo=None) != midnight + time
            if not self.hourly:
                found.add(both[0])
            elif not is_skipped:
                found.update(both)
        return min((one for one in found if one > instant), default=None)


@lru_cache(256)  # shared: ten thousand schedules have few such pairs, and each would keep up to 1,440 times
def _times(hours: frozenset[int], minutes: frozenset[int]) -> list[timedelta]:
    return [timedelta(hours=hour, minutes=minute) for hour in sorted(hours) for minute in sorted(minutes)]


@dataclass(frozen=True)
class Every:
    """A fixed time apart, counted from *anchor*: whoever counts finds the same instants, whenever it began."""

    interval: timedelta
    anchor: datetime

    def after(self, instant: datetime) -> datetime | None:
        """Return the first instant after *instant*; none is before the anchor."""
        steps = max(0, (instant - self.anchor) // self.interval + 1)
        try:
            return self.anchor + steps * self.interval
        except OverflowError:
            return None


@dataclass(frozen=True)
class Days:
    """Each so many days at midnight on the clock of a time zone, counted from 1 January 1970."""

    days: int
    zone: ZoneInfo

    def after(self, instant: datetime) -> datetime | None:
        """Return the first instant after *instant*."""
        start = instant.astimezone(self.zone).date() - DAY
        day = start + DAY * ((_FIRST_DAY - start).days % self.days)
        while True:
            midnight = moments(datetime(day.year, day.month, day.day), self.zone)[0]  # noqa: DTZ001 - a wall clock's
            if midnight > instant:
                return midnight
            try:
                day += DAY * self.days
            except OverflowError:
                return None


_FIRST_DAY = date(1970, 1, 1)


@dataclass(frozen=True)
class Clocked:
    """Once."""

    at: datetime

    def after(self, instant: datetime) -> datetime | None:
        """Return the one instant, if it is yet to come."""
        return self.at if self.at > instant else None


#: Of each solar event: PyEphem's method, the sun's altitude in degrees, and whether its centre counts (its upper edge
#: otherwise; -0:34 is the refraction at the horizon). US Naval Observatory, "Rise, Set, and Twilight Definitions".
SOLAR_EVENTS = {
    "dawn_astronomical": ("next_rising", "-18", True),
    "dawn_nautical": ("next_rising", "-12", True),
    "dawn_civil": ("next_rising", "-6", True),
    "sunrise": ("next_rising", "-0:34", False),
    "solar_noon": ("next_transit", "0", False),
    "sunset": ("next_setting", "-0:34", False),
    "dusk_civil": ("next_setting", "-6", True),
    "dusk_nautical": ("next_setting", "-12", True),
    "dusk_astronomical": ("next_setting", "-18", True),
}

#: Near a pole the sun does not rise for half a year.
DARK_DAYS = 366


@dataclass(frozen=True)
class Solar:
    """The sun at a place, to the second. Needs PyEphem (`pip install celeriac[solar]`)."""

    event: str
    latitude: float
    longitude: float

    def __post_init__(self) -> None:
        if self.event not in SOLAR_EVENTS:
            raise ValueError(f"{self.event!r} is no solar event: {', '.join(sorted(SOLAR_EVENTS))}.")

    def after(self, instant: datetime) -> datetime | None:
        """Return the first such event after *instant*."""
        import ephem

        method, horizon, use_center = SOLAR_EVENTS[self.event]
        observer: Any = ephem.Observer()
        observer.lat, observer.lon = str(self.latitude), str(self.longitude)
        observer.elev, observer.pressure, observer.horizon = 0, 0, horizon
        sun, start = ephem.Sun(), ephem.Date(instant.replace(tzinfo=None))
        options = {"use_center": True} if use_center else {}
        for _ in range(DARK_DAYS):
            try:
                found = getattr(observer, method)(sun, start=start, **options)
            except ephem.CircumpolarError:
                start = observer.next_antitransit(sun, start=start)
                continue
            # The second makes the instant the same whatever the search began at.
            second: datetime = found.datetime().replace(microsecond=0, tzinfo=UTC)
            if second > instant:
                return second
            start = ephem.Date(found + ephem.minute)
        return None


@dataclass(frozen=True)
class Bounded:
    """Another schedule, from one instant on and up to another, which is no more of it."""

    timing: Timing
    start: datetime | None = None
    end: datetime | None = None

    def after(self, instant: datetime) -> datetime | None:
        """Return the first instant after *instant* within the bounds."""
        if self.start is not None:
            instant = max(instant, self.start - timedelta.resolution)
        found = self.timing.after(instant)
        return None if found is None or (self.end is not None and found >= self.end) else found
