"""Schedules as data: what a project says comes back from the row as it was said."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from celery.schedules import crontab, schedule, solar
from django.utils import timezone
from django_celery_beat.clockedschedule import clocked
from hypothesis import given

from celeriac import Recurring
from celeriac.errors import ConfigurationError
from celeriac.schedules.convert import packed_policy, policies, timing_json, zone_of
from celeriac.schedules.definition import Definition, aware, kept, next_of, policy, stored, timing
from celeriac.schedules.models import Schedule
from celeriac.schedules.policies import MISFIRE, OVERLAP, Blackout, Policy
from celeriac.schedules.recurring import policy_of
from celeriac.schedules.ticks import Bounded, Clocked, Crontab, Days, Every, Solar, upcoming
from tests.schedules.clocks import some
from tests.shop.celery import app

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
UTC_ZONE, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")
SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=n) for n in (1, 60, 3600, 86400))


@pytest.fixture
def berlin(monkeypatch):
    """The app, in Berlin."""
    monkeypatch.setattr(app, "timezone", BERLIN)
    return app


def read_back(given, *, relative=False, anchor=NOON, **fields):
    one = Definition("s", "settings", "", "t", timing=timing_json(given, app, relative=relative), **fields)
    return timing(one, anchor)


class TestTiming:
    @given(some(0, 59), some(0, 23), some(1, 28), some(1, 12), some(0, 6))
    def test_a_crontab(self, minute, hour, day, month, weekday):
        said = crontab(minute=minute, hour=hour, day_of_month=day, month_of_year=month, day_of_week=weekday, app=app)
        assert read_back(said) == Crontab(minute, hour, day, month, weekday, ZoneInfo(zone_of(app.timezone)))

    def test_a_crontab_as_people_write_it(self):
        said = json.loads(timing_json(crontab(minute="*/20", hour="9-17", day_of_week="mon-fri", app=app), app))
        assert said["crontab"] == ["0,20,40", "9-17", "1-31", "1-12", "1-5"]

    def test_a_crontab_has_the_zone_of_its_app(self, berlin):
        assert read_back(crontab(hour=2, minute=30, app=berlin)).zone == BERLIN

    @pytest.mark.parametrize("said", [90, 90.0, 90 * SECOND, schedule(90 * SECOND)])
    def test_an_interval(self, said):
        assert read_back(said) == Every(90 * SECOND, NOON)

    def test_an_interval_counts_from_its_start_before_all(self):
        start = NOON + 7 * SECOND
        assert read_back(90, starts_at=start) == Bounded(Every(90 * SECOND, start), start)
        assert read_back(90, ends_at=start) == Bounded(Every(90 * SECOND, NOON), None, start)

    def test_an_interval_of_a_row_counts_from_when_it_was_first_seen(self):
        row = Schedule(timing=timing_json(90, app), anchor=NOON - HOUR)
        assert timing(row, NOON) == Every(90 * SECOND, NOON - HOUR)

    def test_the_sun(self):
        assert read_back(solar("sunset", -37.8, 144.9)) == Solar("sunset", -37.8, 144.9)

    def test_a_clocked_time(self):
        assert read_back(clocked(NOON)) == Clocked(NOON)
        assert read_back(clocked(NOON.astimezone(BERLIN))) == Clocked(NOON)

    @pytest.mark.parametrize(
        "said", [0, -1, 0.5, timedelta(0), schedule(0.2), True, "5 * * * *", None, 1e300, float("nan")]
    )
    def test_what_is_none(self, said):
        with pytest.raises(ConfigurationError):
            timing_json(said, app)

    def test_one_that_computes_its_own_times(self):
        class Mine(schedule):
            def remaining_estimate(self, last_run_at):
                return timedelta(seconds=5)

        with pytest.raises(ConfigurationError, match=r"test_definition\.Mine computes its own times"):
            timing_json(Mine(MINUTE), app)


class TestRelative:
    def ticks(self, interval, after, count=3):
        """The next ticks in Berlin of what was first seen at half past one in the night."""
        seen = datetime(2026, 3, 27, 1, 30, tzinfo=BERLIN)
        after = datetime.fromisoformat(after).replace(tzinfo=BERLIN)
        coming = islice(upcoming(read_back(interval, relative=True, anchor=seen), after), count)
        return [f"{tick.astimezone(BERLIN):%d %H:%M}" for tick in coming]

    def test_each_hour_is_on_the_hour_and_follows_the_clock(self, berlin):
        assert self.ticks(HOUR, "2026-03-29 00:30") == ["29 01:00", "29 03:00", "29 04:00"]
        assert self.ticks(20 * MINUTE, "2026-03-29 01:30") == ["29 01:40", "29 03:00", "29 03:20"]
        assert self.ticks(HOUR, "2026-10-25 01:30", 4) == ["25 02:00", "25 02:00", "25 03:00", "25 04:00"]

    def test_what_divides_a_day_keeps_its_hours(self, berlin):
        assert self.ticks(12 * HOUR, "2026-03-28 18:00") == ["29 00:00", "29 12:00", "30 00:00"]

    def test_days_begin_at_midnight(self, berlin):
        assert self.ticks(DAY, "2026-03-28 18:00") == ["29 00:00", "30 00:00", "31 00:00"]
        assert self.ticks(2 * DAY, "2026-03-28 18:00") == ["29 00:00", "31 00:00", "02 00:00"]
        assert isinstance(read_back(7 * DAY, relative=True), Days)

    def test_what_no_clock_tells_is_counted_from_the_midnight_before_it_was_first_seen(self, berlin):
        assert self.ticks(7 * MINUTE, "2026-03-27 01:30") == ["27 01:31", "27 01:38", "27 01:45"]
        assert self.ticks(5 * HOUR, "2026-03-27 01:30") == ["27 05:00", "27 10:00", "27 15:00"]
        assert self.ticks(36 * HOUR, "2026-03-27 01:30", 2) == ["28 12:00", "30 01:00"]


def test_the_next_tick_of_a_definition():
    one = Definition("s", "settings", "", "t", timing=timing_json(MINUTE, app))
    assert next_of(one, NOON + SECOND, NOON) == NOON + MINUTE
    assert next_of(one._replace(enabled=False), NOON) is None
    assert next_of(one._replace(timing="{}"), NOON) is None
    assert next_of(one._replace(ends_at=NOON), NOON, NOON) is None


class TestPolicy:
    seconds = st.integers(0, 10**7).map(lambda millis: timedelta(milliseconds=millis))
    walls = st.tuples(st.times(), st.times() | st.just("24:00"))
    days = st.lists(st.sampled_from(["sun", "mon", "tue", "wed", "thu", "fri", "sat"]), max_size=3)
    windows = st.tuples(days, walls).map(lambda two: (*two[0], *two[1])) | st.just((NOON, NOON + DAY))

    @given(
        st.builds(
            Recurring,
            st.none(),
            misfire=st.sampled_from(MISFIRE),
            overlap=st.sampled_from(OVERLAP),
            window=st.none() | seconds,
            jitter=seconds,
            within=st.none() | seconds,
            blackout=st.lists(windows, max_size=3).map(tuple),
        )
    )
    def test_what_a_project_says_comes_back_from_the_row(self, said):
        row = Definition("s", "settings", "", "t", policy=packed_policy(policies(said), "Europe/Berlin"))
        given = policies(said)
        assert policy(row) == policy_of(given, BERLIN if given else UTC_ZONE)

    def test_a_row_without_one_has_what_is_so_anyway(self):
        assert packed_policy(policies(Recurring(None)), "Europe/Berlin") == "{}"
        assert policy(Definition("s", "settings", "", "t")) == Policy()

    def test_times_are_seconds_or_timedeltas(self):
        assert policy_of({"window": 90, "jitter": 2.5, "within": HOUR}, BERLIN) == Policy(
            window=90 * SECOND, jitter=2.5 * SECOND, within=HOUR, zone=BERLIN
        )
        assert policy_of({"window": None, "jitter": None}, BERLIN) == Policy(zone=BERLIN)

    @pytest.mark.parametrize(
        ("window", "expected"),
        [
            (("22:00", "06:00"), Blackout(time(22), time(6))),
            ([time(22), "24:00"], Blackout(time(22), time())),
            (("sat", "Sunday", "00:00", "24:00"), Blackout(time(), time(), frozenset({0, 6}))),
            ((NOON, NOON + DAY), Blackout(NOON, NOON + DAY)),
        ],
    )
    def test_a_blackout(self, window, expected):
        assert policy_of({"blackout": [window]}, BERLIN).blackout == (expected,)

    @pytest.mark.parametrize(
        ("said", "message"),
        [
            ({"overlaps": "skip"}, "A schedule has no policy 'overlaps'; they are misfire, window,"),
            (["overlap"], r"Policies are a dict, as {'overlap': 'skip'}, not \['overlap'\]"),
            ({"misfire": "never"}, "misfire is one of skip, once, all"),
            ({"window": "1h"}, "A time is a number of seconds or a timedelta, not '1h'"),
            ({"window": True}, "not True"),
            ({"window": float("inf")}, "not inf"),
            ({"within": float("nan")}, "not nan"),
            ({"jitter": -1}, "jitter is a time from 0 on"),
            (
                {"blackout": ("22:00", "06:00")},
                r"Blackouts are a list of windows, as \[\('22:00', '06:00'\)\]; '22:00'",
            ),
            ({"blackout": [("22:00",)]}, "Blackouts are a list of windows"),
            ({"blackout": 5}, "int"),
            ({"blackout": [("someday", "22:00", "06:00")]}, "'someday' is no day of the week; they are sun, mon"),
            ({"blackout": [("22h", "06:00")]}, "'22h' is no time of day, as '22:00'"),
            ({"blackout": [("24:00", "06:00")]}, "'24:00' is no time of day"),
            ({"blackout": [("22:00+02:00", "06:00")]}, "is no time of day"),
            ({"blackout": [(22, 6)]}, "6 is no time of day"),
            ({"blackout": [(NOON, "06:00")]}, "between two aware datetimes or two wall times"),
            ({"blackout": [("mon", NOON, NOON + DAY)]}, "between two aware datetimes"),
            ({"blackout": [(NOON.replace(tzinfo=None), NOON)]}, "between two aware datetimes"),
            ({"blackout": [(NOON, NOON)]}, "between two aware datetimes"),
        ],
    )
    def test_what_is_none(self, said, message):
        with pytest.raises(ConfigurationError, match=message):
            policy_of(said, BERLIN)


class TestZones:
    def test_names(self):
        assert [zone_of(zone) for zone in (BERLIN, UTC, "Asia/Kathmandu")] == ["Europe/Berlin", "UTC", "Asia/Kathmandu"]

    @pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", ""])
    def test_that_do_not_exist(self, name):
        with pytest.raises(ConfigurationError, match="There is no time zone"):
            zone_of(name)


class TestStoredTimes:
    def test_with_time_zones_an_instant_is_kept_as_it_is(self):
        assert kept(NOON) == NOON
        assert aware(NOON.astimezone(BERLIN)).tzinfo is UTC
        assert stored(None) is None
        assert stored(NOON) == NOON

    def test_without_they_are_kept_as_the_projects_clock_shows_them(self, settings):
        settings.USE_TZ = False
        settings.TIME_ZONE = "Asia/Kathmandu"
        assert kept(NOON) == timezone.make_naive(NOON, ZoneInfo("Asia/Kathmandu"))
        assert aware(kept(NOON)) == NOON

    def test_whatever_time_zone_a_request_has_activated(self, settings):
        settings.USE_TZ = False
        settings.TIME_ZONE = "Asia/Kathmandu"
        with timezone.override("Europe/Berlin"):
            assert aware(kept(NOON)) == NOON
            assert kept(NOON) == timezone.make_naive(NOON, ZoneInfo("Asia/Kathmandu"))
