"""What people are shown of a schedule: in words, how it stands, what comes next."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery.schedules import crontab

from celeriac import Recurring
from celeriac.schedules import operate
from celeriac.schedules.preview import coming, coming_of_all, is_overdue, late_by, standing
from celeriac.schedules.queries import last_ticks, soonest
from celeriac.schedules.words import in_words, policy_in_words
from tests.schedules.conftest import ADA, MONDAY

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (crontab(), "Every minute (UTC)"),
        (crontab(minute="*/5"), "Every 5 minutes (UTC)"),
        (crontab(minute=0, hour=2), "At 02:00 (UTC)"),
        (crontab(minute=30, hour=9, day_of_week="mon-fri"), "At 09:30, Monday through Friday (UTC)"),
        (crontab(minute=0, hour=0, day_of_month=1), "At 00:00, on day 1 of the month (UTC)"),
        (1, "Every second"),
        (1.5, "Every 1.5 seconds"),
        (90, "Every 90 seconds"),
        (60, "Every minute"),
        (timedelta(hours=1), "Every hour"),
        (timedelta(hours=36), "Every 36 hours"),
        (timedelta(days=1), "Every day"),
        (timedelta(days=1000), "Every 1,000 days"),
        (0.1, "Never"),
    ],
)
def test_in_words(clockwork, schedule, words):
    clockwork.write(s=schedule)
    assert in_words(clockwork.row()) == words


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({}, []),
        ({"misfire": "skip"}, ["a tick that is more than 60 seconds late is no job"]),
        ({"misfire": "skip", "window": 300}, ["a tick that is more than 5 minutes late is no job"]),
        ({"misfire": "all"}, ["each missed tick is made up for"]),
        ({"window": 3600}, ["the last missed tick is made up for, up to 1 hour later"]),
        ({"overlap": "cancel_running"}, ["an earlier job that is open is cancelled"]),
        ({"within": 90}, ["somebody is told when a job has not succeeded 90 seconds later"]),
        ({"jitter": 1}, ["a job starts up to 1 second after its tick"]),
        ({"blackout": [("22:00", "06:00")]}, ["no job from 22:00 to 06:00"]),
        ({"blackout": [("sat", "sun", "00:00", "24:00")]}, ["no job from 00:00 to 24:00 on Sun, Sat"]),
        (
            {"blackout": [(MONDAY, MONDAY + HOUR)]},
            ["no job from 2026-06-01 12:00+00:00 to 2026-06-01 13:00+00:00"],
        ),
    ],
)
def test_policies_in_words(clockwork, policy, words):
    clockwork.write(s=Recurring(MINUTE, **policy))
    assert policy_in_words(clockwork.row()) == words


def test_a_policy_that_cannot_be_read_is_said(clockwork):
    clockwork.write(s=MINUTE)
    row = clockwork.row()
    row.policy = '{"misfire":"perhaps"}'
    assert policy_in_words(row) == ["cannot be read: misfire is one of skip, once, all, not 'perhaps'."]


class TestComing:
    def test_the_next_in_both_times(self, clockwork):
        clockwork.write(s=crontab(minute=0))
        clockwork.rows().update(timing=clockwork.row().timing.replace("UTC", "Asia/Kathmandu"))
        [one] = coming(clockwork.row(), 1, MONDAY)
        assert one.instant == MONDAY + timedelta(minutes=15)
        assert f"{one.local:%H:%M %z}" == "18:00 +0545"

    def test_why_not(self, clockwork):
        clockwork.write(s=Recurring(HOUR, blackout=[("14:00", "15:00")]))
        operate.skip("s", ADA)
        assert [one.reason for one in coming(clockwork.row(), 3, MONDAY)] == ["asked", "blackout", ""]
        operate.pause("s", ADA)
        assert [one.reason for one in coming(clockwork.row(), 3, MONDAY)] == ["asked", "blackout", "paused"]

    def test_one_that_ends_with_its_first_job_ends_with_no_other_tick(self, clockwork):
        clockwork.write(s=HOUR)
        operate.skip("s", ADA)
        clockwork.rows().update(once=True)
        found = coming(clockwork.row(), 9, MONDAY)
        assert [(one.instant, one.reason) for one in found] == [(MONDAY + HOUR, "asked"), (MONDAY + 2 * HOUR, "")]

    def test_what_does_not_fire_has_none(self, clockwork):
        clockwork.write(off=MINUTE, broken={"task": "tests.shop.tasks.noop", "schedule": 0.1})
        clockwork.rows().filter(name="off").update(enabled=False, next_tick=None)
        assert [coming(row, 3, MONDAY) for row in clockwork.rows()] == [[], []]

    def test_what_this_machine_cannot_compute_hides_no_other(self, clockwork):
        clockwork.write(a=crontab(), b=MINUTE)
        row = clockwork.row("a")
        clockwork.rows().filter(name="a").update(timing=row.timing.replace("UTC", "Mars/Olympus"))
        rows = list(clockwork.rows())
        assert coming(rows[0], 3, MONDAY) == []
        assert [row.name for _, row in coming_of_all(rows, 2, MONDAY)] == ["b", "b"]

    def test_of_all_it_is_those_of_each(self, clockwork):
        clockwork.write(**{f"s{n}": timedelta(minutes=n) for n in range(2, 9)})
        clockwork.rows().filter(name="s8").update(next_tick=MONDAY - HOUR)  # nobody has seen to it
        every = sorted((one.instant, row.name) for row in clockwork.rows() for one in coming(row, 6, clockwork.now))
        found = coming_of_all(soonest(clockwork.now, 6), 6, clockwork.now)
        assert [(one.instant, row.name) for one, row in found] == every[:6]


def test_how_it_stands(clockwork):
    clockwork.write(s=MINUTE)
    row = clockwork.row()
    assert standing(row, row.next_tick + MINUTE) == "on"
    assert standing(row, row.next_tick + MINUTE + timedelta.resolution) == "overdue"
    assert is_overdue(row, row.next_tick + HOUR)
    row.next_tick = None
    assert standing(row, MONDAY) == "over"
    row.trouble = "no"
    assert standing(row, MONDAY) == "broken"
    row.enabled = False
    assert standing(row, MONDAY) == "off"
    row.paused_at = MONDAY
    assert standing(row, MONDAY) == "paused"


def test_how_late_a_tick_was(clockwork):
    clockwork.write(s=MINUTE)
    clockwork.passes(seconds=130)
    clockwork.now += timedelta(seconds=1)
    now = operate.run("s", ADA, app=clockwork.app)
    told = {tick.outcome: late_by(tick) for tick in clockwork.ticks() if tick.kind == "due"}
    assert told == {"skipped": None, "fired": 10.0}
    assert late_by(now) is None


def test_the_last_tick_is_no_other_schedules(clockwork):
    clockwork.write(a=MINUTE, b=2 * MINUTE, c=HOUR)
    for _ in range(3):
        clockwork.passes(seconds=60)
    operate.run("a", ADA, app=clockwork.app)
    found = last_ticks(list(clockwork.rows()))
    assert {name: (tick.schedule, tick.instant) for name, tick in found.items()} == {
        "a": ("a", MONDAY + 3 * MINUTE),
        "b": ("b", MONDAY + 2 * MINUTE),
    }
