"""Times as operators write and read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from celeriac.management.terminal.moments import ago, local, moment, span

NOW = datetime(2026, 7, 28, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("1.5h", timedelta(minutes=90)),
        ("1d", timedelta(days=1)),
        ("1d 12h", timedelta(hours=36)),
        ("1d12h", timedelta(hours=36)),
        ("2w", timedelta(days=14)),
    ],
)
def test_before_now(text, back):
    assert moment(text, NOW) == NOW - back


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-07-28", datetime(2026, 7, 28, tzinfo=UTC)),
        ("2026-07-28T02:30", datetime(2026, 7, 28, 2, 30, tzinfo=UTC)),
        ("2026-07-28 02:30:00Z", datetime(2026, 7, 28, 2, 30, tzinfo=UTC)),
        ("2026-07-28T02:30+02:00", datetime(2026, 7, 28, 0, 30, tzinfo=UTC)),
    ],
)
def test_by_the_calendar(text, when):
    assert moment(text, NOW) == when


def test_in_the_projects_time_zone(settings):
    settings.TIME_ZONE = "Europe/Paris"
    assert moment("2026-07-28T05:00", NOW) == NOW
    assert local(NOW) == "2026-07-28 05:00:00 CEST"


def test_without_time_zones(settings):
    settings.USE_TZ = False
    naive = NOW.replace(tzinfo=None)
    assert moment("2026-07-28T03:00", naive) == naive
    assert moment("1h", naive) == naive - timedelta(hours=1)
    assert local(naive, naive) == "2026-07-28 03:00:00 (0s ago)"


@pytest.mark.parametrize("text", ["", "soon", "h", "2 y", "-2h", "2026-13-01", "1h ago"])
def test_anything_else_is_no_time(text):
    with pytest.raises(ValueError, match="is no time"):
        moment(text, NOW)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.04, "40ms"),
        (1.25, "1.2s"),
        (2.0, "2s"),
        (9.97, "10s"),
        (45, "45s"),
        (119, "119s"),
        (120, "2m"),
        (7199, "120m"),
        (7200, "2h"),
        (172800, "2d"),
        (10**9, "11,574d"),
    ],
)
def test_as_short_as_it_can_be_read(seconds, text):
    assert span(seconds) == text


def test_before_and_after():
    assert ago(NOW - timedelta(minutes=3), NOW) == "3m ago"
    assert ago(NOW + timedelta(minutes=3), NOW) == "in 3m"
