"""When schedules are due, in all zones and years that have broken some scheduler, against a slow oracle."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import ephem
import hypothesis.strategies as st
import pytest
from celery.schedules import solar
from hypothesis import given, settings

from celeriac.schedules.ticks import SOLAR_EVENTS, Bounded, Clocked, Crontab, Days, Every, Solar, upcoming
from celeriac.schedules.zones import wall_at
from tests.schedules.clocks import ALL_CHANGES, CLOCKS, DAY, HOUR, MINUTE, at_a_change, changes, crontabs, walked

BERLIN = ZoneInfo("Europe/Berlin")
ALL_HOURS, ALL_MINUTES = frozenset(range(24)), frozenset(range(60))
YEARS = [(name, year) for name, years in CLOCKS.items() for year in years]
SOME = datetime(2026, 6, 1, 12, tzinfo=UTC)

instants = st.integers(631_152_000, 4_102_444_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def at(hour, minute=0, zone="UTC", **days):
    hours, minutes = ({one} if isinstance(one, int) else one for one in (hour, minute))
    days = {name: frozenset({day}) for name, day in days.items()}
    return Crontab(frozenset(minutes), frozenset(hours), zone=ZoneInfo(zone), **days)


def walls(crontab, after, count):
    """The next ticks, as the clock shows them and by how much it is ahead of UTC."""
    local = [instant.astimezone(crontab.zone) for instant in islice(upcoming(crontab, after), count)]
    return [f"{one:%d %H:%M}{one.utcoffset() / HOUR:+g}" for one in local]


def agrees(timing, first, second):
    """Whether each instant from one tick on, up to before the next, has the same next tick."""
    between = [first + (second - first) * part for part in (0.001, 0.3, 0.999)]
    return {timing.after(instant) for instant in [first, *between, second - timedelta.resolution]} == {second}


class TestCrontab:
    @settings(deadline=None)  # the oracle takes its time
    @given(at_a_change())
    def test_it_is_due_when_the_oracle_says_while_clocks_are_set(self, case):
        crontab, change = case
        begin = change - 5 * HOUR
        found = list(upcoming(crontab, begin - timedelta.resolution, begin + 10 * HOUR - MINUTE))
        assert found == list(walked(crontab, begin, 10))

    @settings(deadline=None, max_examples=40)
    @given(st.data(), st.sampled_from(YEARS))
    def test_and_on_any_other_day(self, data, clock):
        name, year = clock
        crontab = data.draw(crontabs(name))
        begin = datetime(year, 1, 1, tzinfo=UTC) + HOUR * data.draw(st.integers(0, 365 * 24))
        found = list(upcoming(crontab, begin - timedelta.resolution, begin + 10 * HOUR - MINUTE))
        assert found == list(walked(crontab, begin, 10))

    @given(at_a_change(), st.integers(-(2 * 86_400), 86_400))
    def test_whenever_one_asks_the_answer_is_the_same(self, case, seconds):
        crontab, change = case
        ticks = list(islice(upcoming(crontab, change + timedelta(seconds=seconds)), 20))
        assert change + timedelta(seconds=seconds) < ticks[0]
        assert all(first < second and agrees(crontab, first, second) for first, second in pairwise(ticks))

    @pytest.mark.parametrize("hour", [0, 1, 2, 3, 12, 23])
    def test_a_daily_one_is_due_once_for_each_day_of_the_calendar(self, hour):
        for name, year in YEARS:
            daily = at(hour, 30, name)
            # Noon is never set, so what a day lacks comes before its next noon.
            noon = datetime(year, 1, 1, 12, tzinfo=daily.zone)
            ticks = [wall_at(tick, daily.zone) for tick in upcoming(daily, noon, noon + 365 * DAY)]
            ends = {wall_at(change, daily.zone) for change in changes(name, year)}
            assert len(ticks) == 365
            assert all((tick.hour, tick.minute) == (hour, 30) or tick in ends for tick in ticks)

    def test_a_skipped_time_is_due_at_the_end_of_the_gap_and_once(self):
        gap = datetime(2026, 3, 28, 12, tzinfo=UTC)
        assert walls(at(2, 30, "Europe/Berlin"), gap, 2) == ["29 03:00+2", "30 02:30+2"]
        assert walls(at(2, {0, 15, 30, 45}, "Europe/Berlin"), gap, 2) == ["29 03:00+2", "30 02:00+2"]
        assert walls(at({2, 3}, 0, "Europe/Berlin"), gap, 2) == ["29 03:00+2", "30 02:00+2"]
        # Dublin's summer is the rule, and its winter set back from it.
        assert walls(at(1, 30, "Europe/Dublin"), gap, 2) == ["29 02:00+1", "30 01:30+1"]
        assert walls(at(2, 15, "Antarctica/Troll"), gap, 2) == ["29 03:00+2", "30 02:15+2"]

    def test_a_repeated_time_is_due_in_the_first_pass(self):
        back = datetime(2026, 10, 24, 12, tzinfo=UTC)
        assert walls(at(2, 30, "Europe/Berlin"), back, 2) == ["25 02:30+2", "26 02:30+1"]
        assert walls(at({1, 2, 3}, 30, "Europe/Berlin"), back, 3) == ["25 01:30+2", "25 02:30+2", "25 03:30+1"]
        assert walls(at(1, 45, "Australia/Lord_Howe"), datetime(2026, 4, 4, tzinfo=UTC), 2) == [
            "05 01:45+11",
            "06 01:45+10.5",
        ]

    def test_one_of_every_hour_follows_the_clock(self):
        hourly = at(ALL_HOURS, 30, "Europe/Berlin")
        forward, back = datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)
        assert walls(hourly, forward, 3) == ["29 01:30+1", "29 03:30+2", "29 04:30+2"]
        assert walls(hourly, back, 4) == ["25 02:30+2", "25 02:30+1", "25 03:30+1", "25 04:30+1"]

    def test_where_clocks_were_set_at_a_minute_past_midnight_the_first_minute_of_a_day_came_twice(self):
        each_minute = at(ALL_HOURS, ALL_MINUTES, "America/St_Johns")
        assert walls(each_minute, datetime(2010, 11, 7, 2, 28, tzinfo=UTC), 3) == [
            "06 23:59-2.5",
            "07 00:00-2.5",
            "06 23:01-3.5",
        ]
        assert walls(at(0, 0, "America/St_Johns"), datetime(2010, 11, 6, 12, tzinfo=UTC), 2) == [
            "07 00:00-2.5",
            "08 00:00-3.5",
        ]

    def test_what_was_due_on_the_day_that_samoa_left_out_is_due_at_its_end(self):
        before = datetime(2011, 12, 29, tzinfo=UTC)
        assert walls(at(12, 0, "Pacific/Apia"), before, 3) == ["29 12:00-10", "31 00:00+14", "31 12:00+14"]
        assert walls(at(0, 0, "Pacific/Apia"), before + DAY, 2) == ["31 00:00+14", "01 00:00+14"]
        assert walls(at(ALL_HOURS, 0, "Pacific/Apia"), datetime(2011, 12, 30, 8, 30, tzinfo=UTC), 2) == [
            "29 23:00-10",
            "31 00:00+14",
        ]

    def test_29_february(self):
        leap = at(0, 0, day_of_month=29, month_of_year=2)
        assert [tick.year for tick in islice(upcoming(leap, SOME), 3)] == [2028, 2032, 2036]
        assert leap.after(datetime(2096, 3, 1, tzinfo=UTC)).year == 2104
        wednesdays = at(0, 0, day_of_month=29, month_of_year=2, day_of_week=3)
        assert [tick.year for tick in upcoming(wednesdays, SOME, datetime(2150, 1, 1, tzinfo=UTC))] == [
            2040,
            2068,
            2096,
            2108,
            2136,
        ]

    def test_days_of_week_on_29_february_are_never_farther_apart_than_it_looks(self):
        every = at(0, 0, day_of_month=29, month_of_year=2)
        leaps = list(upcoming(every, datetime(1999, 1, 1, tzinfo=UTC), datetime(2460, 1, 1, tzinfo=UTC)))
        for weekday in range(7):
            of_it = [tick for tick in leaps if tick.isoweekday() % 7 == weekday]
            timing = at(0, 0, day_of_month=29, month_of_year=2, day_of_week=weekday)
            assert [timing.after(tick) for tick in of_it[:-1]] == of_it[1:]

    @pytest.mark.parametrize(("day", "months"), [(30, {2}), (31, {2, 4, 6, 9, 11})])
    def test_an_impossible_one_is_never_due_and_soon_told(self, day, months):
        never = Crontab(frozenset({0}), frozenset({0}), frozenset({day}), frozenset(months), zone=BERLIN)
        begun = time.thread_time()
        assert never.after(SOME) is None
        assert time.thread_time() - begun < 0.1

    def test_the_end_of_time_is_no_error(self):
        for zone in ("Pacific/Apia", "Pacific/Pago_Pago"):
            for timing in (at(0, 0, zone), at(ALL_HOURS, 0, zone)):
                last = list(upcoming(timing, datetime(9998, 12, 30, tzinfo=UTC)))
                assert last[-1] < datetime(9999, 1, 2, tzinfo=UTC)

    def test_ten_thousand_are_told_in_no_time_also_while_clocks_are_set(self):
        begun = time.thread_time()
        for change in (SOME, *changes("Europe/Berlin", 2026)):
            for number in range(3333):
                at(ALL_HOURS, ALL_MINUTES, "Europe/Berlin").after(change - MINUTE * (number % 90))
        assert time.thread_time() - begun < 5


class TestEvery:
    intervals = st.timedeltas(timedelta(seconds=1), timedelta(days=400))

    @given(intervals, instants, instants)
    def test_it_is_due_at_whole_intervals_after_its_anchor(self, interval, anchor, instant):
        every = Every(interval, anchor)
        found = every.after(instant)
        assert found > instant
        assert found >= anchor
        assert (found - anchor) % interval == timedelta()
        assert found == anchor or found - instant <= interval
        assert agrees(every, found, found + interval)

    def test_microseconds_do_not_add_up(self):
        third = Every(timedelta(seconds=1.000_001), SOME)
        assert third.after(SOME + timedelta(days=365)) == SOME + 31_535_969 * timedelta(seconds=1.000_001)

    def test_none_is_before_the_anchor(self):
        every = Every(HOUR, SOME)
        assert every.after(SOME - 1000 * DAY) == SOME
        assert every.after(SOME - timedelta.resolution) == SOME
        assert every.after(SOME) == SOME + HOUR

    def test_far_ahead_is_never(self):
        assert Every(timedelta(days=10**9 - 1), SOME).after(SOME) is None
        assert Every(DAY, SOME).after(datetime.max.replace(tzinfo=UTC)) is None


class TestDays:
    @given(st.sampled_from(ALL_CHANGES), st.integers(1, 40), st.dates(date(1980, 1, 1), date(2050, 1, 1)))
    def test_it_is_due_when_its_days_begin(self, change, days, first):
        name, near = change
        timing = Days(days, first, ZoneInfo(name))
        ticks = list(islice(upcoming(timing, near - 3 * DAY), 4))
        assert all(one < two and agrees(timing, one, two) for one, two in pairwise(ticks))
        midnights = at(0, 0, name)
        walked = upcoming(midnights, near - 3 * DAY, ticks[-1])
        if name != "Pacific/Apia":
            assert ticks == [one for one in walked if (wall_at(one, timing.zone).date() - first).days % days == 0]

    def test_a_week_is_a_week_on_the_clock(self):
        weekly = Days(7, date(2026, 3, 23), BERLIN)
        ticks = list(islice(upcoming(weekly, datetime(2026, 3, 23, 12, tzinfo=UTC)), 2))
        assert ticks == [datetime(2026, 3, 29, 22, tzinfo=UTC), datetime(2026, 4, 5, 22, tzinfo=UTC)]

    def test_where_the_evening_before_came_again_the_day_has_begun_already(self):
        daily = Days(1, date(2010, 1, 1), ZoneInfo("America/St_Johns"))
        evening = datetime(2010, 11, 7, 3, tzinfo=UTC)  # 23:30 for the second time; it was midnight at 02:30
        assert daily.after(evening) == datetime(2010, 11, 8, 3, 30, tzinfo=UTC)

    def test_far_ahead_is_never(self):
        assert Days(10**8, date(2026, 1, 1), BERLIN).after(SOME) is None


def test_clocked_is_once():
    clocked = Clocked(SOME)
    assert list(upcoming(clocked, SOME - DAY)) == [SOME]
    assert clocked.after(SOME - timedelta.resolution) == SOME
    assert clocked.after(SOME) is None


class TestBounded:
    @given(st.none() | instants, st.none() | instants, instants)
    def test_it_is_the_other_within_its_bounds(self, start, end, instant):
        other = Every(timedelta(hours=7), SOME.replace(year=1980))
        found = Bounded(other, start, end).after(instant)
        begin = instant if start is None else max(instant, start - timedelta.resolution)
        assert found == (other.after(begin) if end is None or other.after(begin) < end else None)

    def test_the_start_is_of_it_and_the_end_is_not(self):
        hourly = Bounded(Every(HOUR, SOME), SOME + HOUR, SOME + 3 * HOUR)
        assert list(upcoming(hourly, SOME - DAY)) == [SOME + HOUR, SOME + 2 * HOUR]


def test_upcoming_ends_with_its_end_or_with_the_schedule():
    hourly = Every(HOUR, SOME)
    assert list(upcoming(hourly, SOME, SOME + 2 * HOUR)) == [SOME + HOUR, SOME + 2 * HOUR]
    assert list(upcoming(hourly, SOME, SOME)) == []
    assert list(upcoming(Clocked(SOME), SOME)) == []


PLACES = {
    "Berlin": (52.52, 13.405),
    "Quito": (-0.18, -78.47),
    "Sydney": (-33.87, 151.21),
    "Suva": (-18.14, 178.44),
    "Tromsø": (69.65, 18.96),
    "Longyearbyen": (78.22, 15.65),
    "McMurdo": (-77.85, 166.67),
}


class TestSolar:
    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("event", sorted(SOLAR_EVENTS))
    def test_it_is_celerys_to_the_second(self, place, event):
        ours, theirs = Solar(event, *PLACES[place]), solar(event, *PLACES[place])
        for month in (1, 3, 6, 9, 12):
            start = datetime(2026, month, 21, 4, 30, tzinfo=UTC)
            expected = theirs._next_event(ephem.Date(start.replace(tzinfo=None))).datetime().replace(tzinfo=UTC)
            assert abs(ours.after(start) - expected) < timedelta(seconds=1.2)

    @settings(deadline=None, max_examples=40)  # a polar night is long to look through
    @given(st.sampled_from(sorted(PLACES)), st.sampled_from(sorted(SOLAR_EVENTS)), st.integers(0, 365))
    def test_whenever_one_asks_the_answer_is_the_same(self, place, event, day):
        timing = Solar(event, *PLACES[place])
        first, second = islice(upcoming(timing, datetime(2026, 1, 1, tzinfo=UTC) + DAY * day), 2)
        assert agrees(timing, first, second)

    @pytest.mark.parametrize("place", PLACES)
    def test_each_of_a_year_is_found_once(self, place):
        year = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
        rises, sets, noons = (
            list(upcoming(Solar(event, *PLACES[place]), *year)) for event in ("sunrise", "sunset", "solar_noon")
        )
        for ticks in (rises, sets, noons):
            assert all(two - one > timedelta(hours=22) for one, two in pairwise(ticks))
        assert len(noons) == 365
        assert abs(len(rises) - len(sets)) <= 1
        if abs(PLACES[place][0]) < 60:
            assert len(rises) == len(sets) == 365
        else:
            assert any(two - one > 30 * DAY for one, two in pairwise(rises))

    def test_it_may_never_be(self):
        assert Solar("sunrise", 90.0, 0.0).after(SOME) is None

    def test_a_place_next_to_the_equator_is_not_somewhere_else(self):
        assert Solar("sunrise", -0.000_01, 0.0).after(SOME) == Solar("sunrise", 0.0, 0.0).after(SOME)

    def test_no_such_event(self):
        with pytest.raises(ValueError, match="'moonrise' is no solar event: dawn_astronomical, dawn_civil"):
            Solar("moonrise", 0.0, 0.0)
