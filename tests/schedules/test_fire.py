"""Ticks become jobs: each instant one row and one job, whatever happened meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery.schedules import crontab

from celeriac import Recurring
from celeriac.api import payload
from celeriac.schedules import fire as fire_module
from tests.schedules.conftest import MONDAY

MINUTE = timedelta(minutes=1)


def test_a_tick_is_a_job_and_the_schedule_goes_on(clockwork):
    clockwork.write(s={"task": "tests.shop.tasks.add", "schedule": MINUTE, "args": (1, 2), "options": {"priority": 7}})
    assert clockwork.look() == []
    [tick] = clockwork.passes(seconds=61)
    job = clockwork.jobs().get()
    assert (tick.instant, tick.outcome, tick.job) == (MONDAY + MINUTE, "fired", job.id)
    assert (job.task, job.args, job.priority, job.queue) == ("tests.shop.tasks.add", "[1,2]", 7, "celery")
    assert payload.decode(job.headers)["headers"] == {
        "celery_beat_task": True,
        "celeriac_schedule": "s",
        "celeriac_tick": "2026-06-01T12:01:00+00:00",
    }
    row = clockwork.row()
    assert (row.last_tick, row.next_tick) == (MONDAY + MINUTE, MONDAY + 2 * MINUTE)


def test_who_comes_second_finds_nothing_due(clockwork):
    clockwork.write(s=MINUTE)
    clockwork.passes(seconds=60)
    assert clockwork.look() == []
    assert clockwork.jobs().count() == 1


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ({}, [("12:04:00", "skipped misfire"), ("12:05:00", "fired")]),
        ({"misfire": "skip"}, [("12:04:00", "skipped misfire"), ("12:05:00", "fired")]),
        ({"misfire": "all"}, [(f"12:0{n}:00", "fired") for n in range(1, 6)]),
        (
            {"misfire": "all", "window": 150},
            [("12:02:00", "skipped misfire"), ("12:03:00", "fired"), ("12:04:00", "fired"), ("12:05:00", "fired")],
        ),
    ],
)
def test_what_was_missed(clockwork, policy, told):
    clockwork.write(s=Recurring(MINUTE, **policy))
    clockwork.passes(seconds=330)
    assert clockwork.told() == told
    assert sum(tick.count for tick in clockwork.ticks()) == 5


def test_once_makes_up_for_the_last_where_none_is_in_time(clockwork):
    clockwork.write(s=crontab(minute="*/30"))
    clockwork.passes(minutes=100)
    assert clockwork.told() == [("13:00:00", "skipped misfire"), ("13:30:00", "fired")]


def test_one_that_fails_does_not_stop_the_others(clockwork, monkeypatch):
    clockwork.write(a=MINUTE, b=MINUTE, c=MINUTE)
    real = fire_module.enqueue

    def refuses(calls):
        if any(call.headers["headers"]["celeriac_schedule"] == "b" for call in calls):
            raise ValueError("no")
        return real(calls)

    monkeypatch.setattr(fire_module, "enqueue", refuses)
    clockwork.passes(seconds=60)
    told = {tick.schedule: (tick.outcome, tick.note) for tick in clockwork.ticks()}
    assert told == {"a": ("fired", ""), "b": ("failed", "ValueError: no"), "c": ("fired", "")}
    assert {row.next_tick for row in clockwork.rows()} == {MONDAY + 2 * MINUTE}


class TestOverlap:
    def test_allow(self, clockwork):
        clockwork.write(s=MINUTE)
        clockwork.passes(seconds=60)
        clockwork.passes(seconds=60)
        assert clockwork.jobs().count() == 2

    def test_skip(self, clockwork):
        clockwork.write(s=Recurring(MINUTE, overlap="skip"))
        clockwork.passes(seconds=60)
        clockwork.passes(seconds=60)
        assert clockwork.told() == [("12:01:00", "fired"), ("12:02:00", "skipped overlap")]
        clockwork.jobs().update(state="succeeded", finished_at=MONDAY)
        clockwork.passes(seconds=60)
        assert clockwork.jobs().count() == 2

    def test_queue_one(self, clockwork):
        clockwork.write(s=Recurring(MINUTE, overlap="queue_one"))
        clockwork.passes(seconds=60)
        clockwork.jobs().update(state="running", worker="01a2144e-d3f8-7718-8b6f-560679970450", claim_no=1)
        clockwork.passes(seconds=60)
        clockwork.passes(seconds=60)
        assert clockwork.told() == [("12:01:00", "fired"), ("12:02:00", "fired"), ("12:03:00", "skipped overlap")]
        assert [(job.state, job.reason) for job in clockwork.jobs()] == [
            ("running", "exclusive"),
            ("waiting", "exclusive"),
        ]

    def test_cancel_running(self, clockwork):
        clockwork.write(s=Recurring(MINUTE, overlap="cancel_running"))
        clockwork.passes(seconds=60)
        clockwork.passes(seconds=60)
        assert [job.state for job in clockwork.jobs()] == ["cancelled", "waiting"]  # until it has its turn


def test_jitter_delays_each_job_by_its_own_time_below_it(clockwork):
    clockwork.write(s=Recurring(MINUTE, jitter=30))
    for _ in range(20):
        clockwork.passes(seconds=60)
    late = [
        (job.run_at - tick.instant).total_seconds()
        for tick in clockwork.ticks()
        for job in clockwork.jobs().filter(id=tick.job)
    ]
    assert len(set(late)) == 20
    assert 0 <= min(late) < 10
    assert 20 < max(late) < 30


def test_a_blackout_is_said(clockwork):
    clockwork.write(s=Recurring(crontab(minute=0), blackout=[("14:00", "16:00")]))
    for _ in range(5):
        clockwork.passes(hours=1)
    assert clockwork.told() == [
        ("13:00:00", "fired"),
        ("14:00:00", "skipped blackout"),
        ("15:00:00", "skipped blackout"),
        ("16:00:00", "fired"),
        ("17:00:00", "fired"),
    ]


def test_the_database_clock_set_back_fires_nothing_twice(clockwork):
    clockwork.write(s=MINUTE)
    clockwork.passes(seconds=60)
    clockwork.passes(hours=-1)
    assert clockwork.jobs().count() == 1
    clockwork.passes(hours=1)
    assert clockwork.jobs().count() == 1


def test_set_forward_it_is_as_if_nobody_had_been_there(clockwork):
    clockwork.write(s=Recurring(MINUTE, misfire="all"))
    clockwork.passes(hours=1)
    assert clockwork.jobs().count() == 60
    assert {tick.outcome for tick in clockwork.ticks()} == {"fired"}


def test_many_at_once_cost_few_statements(clockwork, django_assert_max_num_queries):
    clockwork.write(**{f"s{n}": MINUTE for n in range(200)})
    clockwork.now += MINUTE
    with django_assert_max_num_queries(40, using=clockwork.alias):
        fire_module.fire(clockwork.app)
    assert clockwork.jobs().count() == 200


def test_of_one_that_is_due_each_second_none_is_lost_in_a_takeover(clockwork):
    clockwork.write(s=1)
    clockwork.passes(seconds=5)
    assert [outcome for _, outcome in clockwork.told()] == ["fired"] * 5
