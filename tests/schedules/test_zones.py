"""Wall times as instants, against what clocks show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import given

from celeriac.schedules.zones import change_after, reached, shown, wall_at
from tests.schedules.clocks import ALL_CHANGES, CLOCKS, DAY, HOUR, MINUTE, changes, minutes

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@given(st.sampled_from(ALL_CHANGES), st.integers(-3 * 60, 3 * 60))
def test_what_a_clock_shows_around_a_change(change, offset):
    name, at = change
    zone = ZoneInfo(name)
    wall = wall_at(at, zone) + MINUTE * offset
    walked = minutes(name, at - 8 * HOUR, 16)
    assert shown(wall, zone) == [instant for instant, face in walked if face == wall]
    assert reached(wall, zone) == next(instant for instant, face in walked if wall <= face)


@given(st.sampled_from(ALL_CHANGES), st.integers(1, 86_400), st.integers(0, 86_400))
def test_a_change_is_found_from_within_a_day_before_it(change, early, late):
    name, at = change
    zone = ZoneInfo(name)
    assert change_after(at - timedelta(seconds=early), zone) == at
    assert change_after(at + timedelta(seconds=late), zone) is None


@pytest.mark.parametrize(
    ("zone", "wall", "instants", "first"),
    [
        ("Europe/Berlin", "2026-03-29 01:59", ["2026-03-29 00:59"], "2026-03-29 00:59"),
        ("Europe/Berlin", "2026-03-29 02:30", [], "2026-03-29 01:00"),
        ("Europe/Berlin", "2026-03-29 03:00", ["2026-03-29 01:00"], "2026-03-29 01:00"),
        ("Europe/Berlin", "2026-10-25 02:30", ["2026-10-25 00:30", "2026-10-25 01:30"], "2026-10-25 00:30"),
        ("Australia/Lord_Howe", "2026-10-04 02:15", [], "2026-10-03 15:30"),
        ("Australia/Lord_Howe", "2026-04-05 01:45", ["2026-04-04 14:45", "2026-04-04 15:15"], "2026-04-04 14:45"),
        ("America/Sao_Paulo", "2018-11-04 00:30", [], "2018-11-04 03:00"),
        ("America/St_Johns", "2010-11-06 23:30", ["2010-11-07 02:00", "2010-11-07 03:00"], "2010-11-07 02:00"),
        ("America/St_Johns", "2010-11-07 00:00", ["2010-11-07 02:30", "2010-11-07 03:30"], "2010-11-07 02:30"),
        ("Antarctica/Troll", "2026-03-29 02:30", [], "2026-03-29 01:00"),
        ("Pacific/Apia", "2011-12-30 12:00", [], "2011-12-30 10:00"),
        ("Asia/Kathmandu", "2026-06-01 00:00", ["2026-05-31 18:15"], "2026-05-31 18:15"),
    ],
)
def test_some_that_are_known(zone, wall, instants, first):
    naive = datetime.fromisoformat(wall)
    assert shown(naive, ZoneInfo(zone)) == [utc(one) for one in instants]
    assert reached(naive, ZoneInfo(zone)) == utc(first)


def test_seconds_count_too():
    change = utc("2026-03-29 01:00")
    assert reached(datetime.fromisoformat("2026-03-29 02:00:01"), BERLIN) == change
    last = datetime.fromisoformat("2026-03-29 01:59:59.999999")
    assert reached(last, BERLIN) == change - timedelta.resolution
    assert change_after(change - timedelta.resolution, BERLIN) == change
    assert change_after(change - DAY, BERLIN) == change
    assert change_after(change - DAY - HOUR, BERLIN) is None


def test_the_table_has_what_it_says():
    assert {name for name, _ in ALL_CHANGES} == set(CLOCKS) - {"UTC"}
    assert len(changes("Africa/Cairo", 2010)) == len(changes("Africa/Cairo", 2014)) == 4
    [skipped] = [at for at in changes("Pacific/Apia", 2011) if at.month == 12]
    before, after = (wall_at(at, ZoneInfo("Pacific/Apia")) for at in (skipped - MINUTE, skipped))
    assert (str(before), str(after)) == ("2011-12-29 23:59:00", "2011-12-31 00:00:00")
