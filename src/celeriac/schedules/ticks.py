"""When a schedule is due: pure functions from a schedule and an instant to the next instant. No Django, no Celery.

Each kind of schedule answers one question, `after(instant)`: the first instant after this one at which it is due, or
None for never. The answer depends on nothing else, so all schedulers that ask find the same instants. Instants are
aware datetimes in UTC, of whole seconds where the schedule is a calendar's.
"""

from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from math import radians
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from celeriac.schedules.zones import DAY, change_after, reached, shown, wall_at

__all__ = ["Bounded", "Clocked", "Crontab", "Days", "Every", "Solar", "Timing", "upcoming"]

#: 29 February on a given weekday comes again after 40 years at most (around a year like 2100, which has none).
FAR_YEARS = 41

#: The one before datetime's last: a zone's clock may be a day ahead of UTC's.
LAST_YEAR = 9998


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
        if self.hourly:
            return self._following_the_clock(instant)
        # Later wall times are never reached earlier, so the first that is reached after the instant is the one.
        for wall in self._walls(wall_at(instant, self.zone)):
            found = reached(wall, self.zone)
            if found > instant:
                return found
        return None

    def _following_the_clock(self, instant: datetime) -> datetime | None:
        wall = wall_at(instant, self.zone)
        change = change_after(instant, self.zone)
        if change is not None:
            # Until the clock is set it runs evenly; then it goes on from what it is set to.
            following = next(self._walls(wall), None)
            if following is not None and instant + (following - wall) < change:
                return instant + (following - wall)
            instant = change - timedelta.resolution
            wall = wall_at(change, self.zone) - timedelta.resolution
        instants = (found for wall in self._walls(wall) for found in shown(wall, self.zone))
        return next((found for found in instants if found > instant), None)

    def _walls(self, after: datetime) -> Iterator[datetime]:
        """Yield the wall times after *after* that fit, as far ahead as it makes sense to look."""
        times = _times(self.hour, self.minute)
        today, passed = after.date(), timedelta(hours=after.hour, minutes=after.minute)
        for day in self._days(today):
            midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall clock's
            for since_midnight in times[bisect_right(times, passed) :] if day == today else times:
                yield midnight + since_midnight

    def _days(self, first: date) -> Iterator[date]:
        days = sorted(self.day_of_month)
        for year in range(first.year, min(first.year + FAR_YEARS, LAST_YEAR) + 1):
            for month in sorted(self.month_of_year):
                if (year, month) < (first.year, first.month):
                    continue
                begin, last = max(first, date(year, month, 1)).day, monthrange(year, month)[1]
                for number in days[bisect_left(days, begin) : bisect_right(days, last)]:
                    day = date(year, month, number)
                    if day.isoweekday() % 7 in self.day_of_week:
                        yield day


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
    """A number of days apart, at midnight on the wall clock of a time zone, counted from the day *first*."""

    days: int
    first: date
    zone: ZoneInfo

    def after(self, instant: datetime) -> datetime | None:
        """Return the first instant after *instant*."""
        today = wall_at(instant, self.zone).date()
        ahead = timedelta(days=(self.first - today).days % self.days)
        try:
            midnight = datetime.combine(today, time()) + ahead
            # This midnight may be over; the next too, where a clock was set back across it.
            while (found := reached(midnight, self.zone)) <= instant:
                midnight += timedelta(days=self.days)
        except OverflowError:
            return None
        return found


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
        # PyEphem is right to a tenth of a second, and finds another tenth from another start: each day has its own.
        start = self._start + (instant - self._start) // DAY * DAY
        for _ in range(DARK_DAYS):
            found = next((event for event in self._within_a_day(start) if event > instant), None)
            if found is not None:
                return found
            start += DAY
        return None

    @property
    def _start(self) -> datetime:
        """Noon by the mean sun for all but noon, and midnight for that: when hardly a place has such an event."""
        hours = (0 if self.event == "solar_noon" else 12) - self.longitude / 15
        return datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=round(hours * 3600))

    def _within_a_day(self, start: datetime) -> Iterator[datetime]:
        import ephem

        method, horizon, use_center = SOLAR_EVENTS[self.event]
        observer: Any = ephem.Observer()
        observer.lat, observer.lon = radians(self.latitude), radians(self.longitude)
        observer.elev, observer.pressure, observer.horizon = 0, 0, horizon
        sun, at = ephem.Sun(), ephem.Date(start.replace(tzinfo=None))
        options = {"use_center": True} if use_center else {}
        end = ephem.Date((start + DAY).replace(tzinfo=None))
        while at < end:
            try:
                at = getattr(observer, method)(sun, start=at, **options)
            except ephem.CircumpolarError:
                # Of the noon at which the search began: the next may be the first that is light again.
                at = observer.next_antitransit(sun, start=at)
                continue
            if at < end:
                yield at.datetime().replace(microsecond=0, tzinfo=UTC)
            at = ephem.Date(at + ephem.minute)


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
