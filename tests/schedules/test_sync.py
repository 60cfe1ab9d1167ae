"""What the code says becomes rows: what is new begins, what changed goes on, what is gone ends."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery.schedules import crontab

from celeriac import Celery
from celeriac.ledger.rows import By
from celeriac.schedules import operate, sync
from celeriac.schedules.models import Schedule
from tests.schedules.conftest import MONDAY
from tests.shop.tasks import noop

MINUTE = timedelta(minutes=1)
ADA = By("ada", "", "code")


def body():
    pass


def entry(schedule=MINUTE, **more):
    return {"task": noop.name, "schedule": schedule, **more}


def test_a_second_worker_changes_nothing(clockwork):
    clockwork.write(a=entry(), b=entry(crontab(hour=3)))
    before = list(clockwork.rows().values())
    clockwork.now += timedelta(seconds=30)
    assert sync.sync_code(clockwork.app) == 0
    assert list(clockwork.rows().values()) == before


@pytest.mark.parametrize(
    "change",
    [
        {"args": (5,)},
        {"kwargs": {"a": 1}},
        {"options": {"queue": "parcels"}},
        {"task": "tests.shop.tasks.total"},
        {"description": "new"},
    ],
)
def test_a_change_of_what_leaves_when(clockwork, change):
    clockwork.write(s=entry())
    clockwork.passes(seconds=70)
    clockwork.now += MINUTE  # one is due, and nobody has looked
    clockwork.write(s=entry() | change)
    row = clockwork.row()
    assert (row.next_tick, row.anchor, row.last_tick) == (MONDAY + 2 * MINUTE, MONDAY, MONDAY + MINUTE)
    assert row.changed_at == clockwork.now
    [tick] = clockwork.look()
    assert tick.instant == MONDAY + 2 * MINUTE


def test_a_change_of_when_counts_from_now_on(clockwork):
    clockwork.write(s=entry(crontab(hour=3)))
    clockwork.now += timedelta(days=3)
    clockwork.write(s=entry(crontab(hour=4)))
    assert clockwork.row().next_tick == MONDAY.replace(day=5, hour=4)
    assert clockwork.look() == []


def test_who_operators_paused_stays_so(clockwork):
    clockwork.write(s=entry())
    operate.pause("s", ADA)
    operate.skip("s", ADA, instant=MONDAY + 5 * MINUTE)
    clockwork.write(s=entry(30, args=(1,)))
    assert clockwork.row().paused_at is not None
    assert clockwork.row().skips != "[]"


def test_what_is_gone_ends_and_its_history_stays(clockwork):
    clockwork.write(a=entry(), b=entry())
    clockwork.passes(seconds=60)
    clockwork.write(b=entry())
    assert [row.name for row in clockwork.rows()] == ["b"]
    assert clockwork.ticks().filter(schedule="a").count() == 1


def test_the_rows_of_another_app_and_of_the_tables_stay(clockwork):
    now = clockwork.now
    for name, source, origin in [("theirs", "settings", "other"), ("table", "table", ""), ("task", "task", "other")]:
        Schedule.objects.using(clockwork.alias).create(
            name=name, source=source, origin=origin, task="t", anchor=now, changed_at=now
        )
    clockwork.write(mine=entry())
    clockwork.write()
    assert [row.name for row in clockwork.rows()] == ["table", "task", "theirs"]


def test_one_name_of_two_apps_is_that_of_the_last_to_start(clockwork):
    clockwork.write(s=entry())
    other = Celery("other", set_as_current=False)
    other.task(name="tests.sync.body", shared=False)(body)
    other.conf.beat_schedule = {"s": {"task": "tests.sync.body", "schedule": MINUTE}}
    assert sync.sync_code(other) == 1
    assert (clockwork.row().origin, clockwork.row().task) == ("other", "tests.sync.body")
    clockwork.write()
    assert clockwork.rows().count() == 1


def test_broken_ones_are_rows_that_say_why_beside_the_others(clockwork):
    clockwork.write(
        bad=entry(0.1),
        unkept=entry(args=(body,)),
        long={"task": "t" * 999, "schedule": 5},
        **{"n" * 999: entry()},
        ok=60,
    )
    told = {row.name[:6]: (bool(row.trouble), row.next_tick is None) for row in clockwork.rows()}
    broken = (True, True)
    assert told == {"bad": broken, "unkept": broken, "long": broken, "nnnnnn": broken, "ok": (False, False)}
    assert len(clockwork.passes(seconds=60)) == 1


def test_one_that_is_mended_begins(clockwork):
    clockwork.write(s=entry(0.1))
    clockwork.write(s=entry())
    assert (clockwork.row().trouble, clockwork.row().next_tick) == ("", MONDAY + MINUTE)


def test_two_thousand_cost_few_statements(clockwork, django_assert_max_num_queries):
    entries = {f"s{n}": entry() for n in range(2000)}
    with django_assert_max_num_queries(100, using=clockwork.alias):
        clockwork.write(**entries)
    with django_assert_max_num_queries(20, using=clockwork.alias):
        assert sync.sync_code(clockwork.app) == 0
