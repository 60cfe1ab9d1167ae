"""Clocks of the world, and a slow oracle, which looks at each minute and computes nothing but what a clock shows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import hypothesis.strategies as st

from celeriac.schedules.ticks import Crontab

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

#: Zones, and years in which their clocks are set in some way that has broken schedulers.
CLOCKS = {
    "UTC": [2026],
    "Europe/Berlin": [1980, 2026, 2040, 2101],  # from 2038 on zoneinfo computes them from the rule
    "Europe/Dublin": [2026, 2039],  # winter is the exception there
    "America/New_York": [2006, 2007, 2026, 2050],
    "America/St_Johns": [1988, 2007, 2011, 2026],  # at 00:01 until 2011; by two hours in 1988
    "America/Sao_Paulo": [2010, 2017, 2018, 2019],  # at midnight, until 2019
    "Asia/Beirut": [2022, 2023, 2026],  # at midnight
    "Africa/Cairo": [2010, 2014, 2024, 2026],  # at midnight; four times in 2010 and 2014
    "Asia/Tehran": [2021, 2022, 2026],
    "Asia/Kathmandu": [1985, 2026],  # 5:45 ahead; set once
    "Australia/Lord_Howe": [1986, 2026, 2045],  # by half an hour
    "Antarctica/Troll": [2026, 2044],  # by two hours
    "Africa/Casablanca": [2024, 2026, 2030],  # back for Ramadan
    "Pacific/Apia": [2010, 2011, 2012],  # 30 December 2011 did not take place
    "America/Nuuk": [2023, 2024, 2026],  # across midnight
    "Asia/Pyongyang": [2015, 2018],
}


@cache
def changes(name: str, year: int) -> list[datetime]:
    """Return when a clock is set in a year, to the minute."""
    zone, first = ZoneInfo(name), datetime(year, 1, 1, tzinfo=UTC)
    days = [first + DAY * number for number in range(367)]
    found = []
    for begin, end in pairwise(days):
        if begin.astimezone(zone).utcoffset() != end.astimezone(zone).utcoffset():
            minutes = [begin + MINUTE * number for number in range(1441)]
            offsets = [minute.astimezone(zone).utcoffset() for minute in minutes]
            found += [minutes[at + 1] for at, (old, new) in enumerate(pairwise(offsets)) if old != new]
    return found


ALL_CHANGES = [(name, change) for name, years in CLOCKS.items() for year in years for change in changes(name, year)]


@cache
def minutes(name: str, first: datetime, hours: int) -> list[tuple[datetime, datetime]]:
    """Return each minute of some hours, and what the clock shows."""
    zone = ZoneInfo(name)
    instants = (first + MINUTE * number for number in range(hours * 60))
    return [(instant, instant.astimezone(zone).replace(tzinfo=None)) for instant in instants]


def walked(crontab: Crontab, first: datetime, hours: int) -> Iterator[datetime]:
    """Yield the instants at which a crontab is due, by looking at each minute; no clock is set back by four hours."""
    highest = None
    for instant, wall in minutes(crontab.zone.key, first - 4 * HOUR, hours + 4):
        due = _fits(crontab, wall)
        if len(crontab.hour) < 24:
            # Whatever the clock has reached for the first time, also if it leapt over it.
            leapt = int((wall - highest) / MINUTE) if highest is not None else 1
            due = any(_fits(crontab, wall - MINUTE * number) for number in range(leapt))
            highest = wall if highest is None else max(highest, wall)
        if due and instant >= first:
            yield instant


def _fits(crontab: Crontab, wall: datetime) -> bool:
    return (
        wall.minute in crontab.minute
        and wall.hour in crontab.hour
        and wall.day in crontab.day_of_month
        and wall.month in crontab.month_of_year
        and wall.isoweekday() % 7 in crontab.day_of_week
    )


def some(first: int, last: int) -> st.SearchStrategy[frozenset[int]]:
    """Some of a field's values: one, each so many, all, or any."""
    every = range(first, last + 1)
    return st.one_of(
        st.sampled_from(every).map(lambda one: frozenset([one])),
        st.integers(2, 15).map(lambda step: frozenset(every[::step])),
        st.just(frozenset(every)),
        st.frozensets(st.sampled_from(every), min_size=1),
    )


def crontabs(zone: str) -> st.SearchStrategy[Crontab]:
    """Crontabs of a zone, most of them due each day, and in the hours in which clocks are set."""
    days = st.one_of(st.just(frozenset(range(1, 32))), some(1, 31))
    weekdays = st.one_of(st.just(frozenset(range(7))), some(0, 6))
    night = st.frozensets(st.sampled_from([0, 1, 2, 3, 22, 23]), min_size=1)
    hours = st.one_of(night, some(0, 23))
    return st.builds(
        Crontab, minute=some(0, 59), hour=hours, day_of_month=days, day_of_week=weekdays, zone=st.just(ZoneInfo(zone))
    )


@st.composite
def at_a_change(draw: st.DrawFn) -> tuple[Crontab, datetime]:
    """A crontab, and when the clock of its zone is set."""
    name, change = draw(st.sampled_from(ALL_CHANGES))
    return draw(crontabs(name)), change
