"""Schedulers, operators and deployments at the same schedules at once: each tick is one row, and one job."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection

from celeriac import faults
from celeriac.ledger.database import clock
from celeriac.ledger.models import Job
from celeriac.ledger.rows import By
from celeriac.schedules import fire as fire_module
from celeriac.schedules import operate, sync
from celeriac.schedules.definition import aware
from celeriac.schedules.models import Schedule, Tick
from tests.races.conftest import PATIENCE
from tests.shop.celery import app
from tests.shop.tasks import noop

ADA = By("ada", "", "code")
POINTS = ["fire.after_lock", "fire.before_ticks"]
HOUR = timedelta(hours=1)


class Killed(BaseException):
    """As a SIGKILL, for the transaction it hits."""


@pytest.fixture
def due(transactional_db):
    """Make schedules that are due since a second, and will be in an hour."""
    before = app.conf.beat_schedule

    def make(*names, every=3600):
        app.conf.beat_schedule = {name: {"task": noop.name, "schedule": every} for name in names}
        sync.sync_code(app)
        instant = aware(clock()).replace(microsecond=0) - timedelta(seconds=1)
        Schedule.objects.update(next_tick=instant, anchor=instant - HOUR)
        return instant

    yield make
    app.conf.beat_schedule = before


def fire():
    return fire_module.fire(app)


class Held:
    """A scheduler that stops at a point until it is told to go on."""

    def __init__(self, actor, point):
        self._arrived, self._go = threading.Event(), threading.Event()
        self._first = threading.Lock()
        with faults.armed(point, self._hold):
            self._end = actor().starts(fire)
            assert self._arrived.wait(PATIENCE)

    def _hold(self):
        if self._first.acquire(blocking=False):
            self._arrived.set()
            self._go.wait(PATIENCE)

    def goes_on(self):
        self._go.set()
        return self._end.result(PATIENCE)


@pytest.fixture(params=POINTS)
def held(request, actor, due):
    made = []

    def hold():
        made.append(Held(actor, request.param))
        return made[-1]

    yield hold
    for one in made:
        one._go.set()


def jobs():
    return Job.objects.count()


def told():
    return list(Tick.objects.order_by("schedule", "instant").values_list("schedule", "outcome"))


def test_a_second_scheduler_leaves_what_the_first_has_and_does_not_wait(held, due, actor):
    due("a", "b")
    one = held()
    assert actor().does(fire)[:2] == (0, 0)
    assert one.goes_on()[:2] == (2, 2)
    assert actor().does(fire)[:2] == (0, 0)
    assert (told(), jobs()) == ([("a", "fired"), ("b", "fired")], 2)


def test_a_second_scheduler_fires_what_came_due_meanwhile(held, due, actor):
    due("a", "b")
    later = Schedule.objects.filter(name="b")
    instant = later.get().next_tick
    later.update(next_tick=instant + HOUR)
    one = held()
    later.update(next_tick=instant)
    assert actor().does(fire).jobs == 1
    assert one.goes_on().jobs == 1
    assert (told(), jobs()) == ([("a", "fired"), ("b", "fired")], 2)


def test_many_at_once_fire_each_tick_once(due, actor):
    due(*(f"s{n:03}" for n in range(200)))
    start = threading.Barrier(4)

    def fire_all():
        start.wait(PATIENCE)
        made = 0
        while (fired := fire_module.fire(app, 7)).next_due is not None and fired.next_due <= 0:
            made += fired.jobs
        return made + fired.jobs

    made = [one.result(PATIENCE) for one in [actor().starts(fire_all) for _ in range(4)]]
    assert sum(made) == jobs() == Tick.objects.filter(outcome="fired").count() == 200


@pytest.mark.parametrize("point", POINTS)
def test_one_that_dies_in_between_leaves_nothing_and_another_fires(due, actor, point):
    instant = due("a")

    def die():
        raise Killed

    with faults.armed(point, die), pytest.raises(Killed):
        actor().does(fire)
    assert (told(), jobs(), Schedule.objects.get().next_tick) == ([], 0, instant)
    assert actor().does(fire).jobs == 1
    assert (told(), jobs()) == ([("a", "fired")], 1)


def test_one_whose_session_ends_in_between_leaves_nothing_and_another_fires(held, due, actor):
    due("a")
    one = held()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND state = 'idle in transaction' AND pid <> pg_backend_pid()"
        )
    assert actor().does(fire).jobs == 1
    with pytest.raises(Exception, match=r"terminat|closed"):
        one.goes_on()
    assert (told(), jobs()) == ([("a", "fired")], 1)


def test_a_pause_waits_for_what_is_being_fired(held, due, actor, blocked):
    due("a")
    one = held()
    pausing = actor().starts(operate.pause, "a", ADA)
    blocked(1)
    assert one.goes_on().jobs == 1
    assert pausing.result(PATIENCE)
    row = Schedule.objects.get()
    assert (row.paused_at is not None, row.next_tick > clock()) == (True, True)


def test_what_is_being_paused_is_not_fired(due, actor):
    due("a")
    operator = actor()
    operator.begins()
    operator.does(operate.pause, "a", ADA)
    assert fire().jobs == 0
    operator.commits()
    assert (fire().jobs, told()) == (0, [])


def test_a_skip_that_comes_too_late_is_of_the_next_tick(held, due, actor, blocked):
    instant = due("a")
    one = held()
    skipping = actor().starts(operate.skip, "a", ADA)
    blocked(1)
    assert one.goes_on().jobs == 1
    assert skipping.result(PATIENCE) > instant


def test_what_is_being_skipped_is_not_fired(due, actor):
    instant = due("a")
    operator = actor()
    operator.begins()
    assert operator.does(operate.skip, "a", ADA) == instant
    assert fire().jobs == 0
    operator.commits()
    assert (fire().jobs, told()) == (0, [("a", "skipped")])


def test_a_run_by_hand_is_a_tick_beside(held, due, actor, blocked):
    due("a")
    one = held()
    running = actor().starts(operate.run, "a", ADA, app=app)
    blocked(1)
    assert one.goes_on().jobs == 1
    assert running.result(PATIENCE).kind == "now"
    assert (told(), jobs()) == ([("a", "fired")] * 2, 2)


@pytest.mark.parametrize("ends", ["commits", "rolls_back"])
def test_a_backfill_of_what_is_due_and_a_scheduler_make_one_job(due, actor, ends):
    instant = due("a")
    operator = actor()
    operator.begins()
    filled = operator.does(operate.backfill, "a", instant, instant, ADA, app=app)
    assert len(filled.ticks) == 1
    assert fire().jobs == 0
    getattr(operator, ends)()
    fire()
    assert (told(), jobs()) == ([("a", "fired")], 1)


def test_a_backfill_finds_what_was_just_fired(held, due, actor, blocked):
    instant = due("a")
    one = held()
    filling = actor().starts(operate.backfill, "a", instant, instant, ADA, app=app)
    blocked(1)
    assert one.goes_on().jobs == 1
    assert filling.result(PATIENCE).there == 1
    assert (told(), jobs()) == ([("a", "fired")], 1)


def test_a_new_definition_does_not_take_a_tick_back(held, due, actor, blocked):
    instant = due("a")
    one = held()
    app.conf.beat_schedule = {"a": {"task": noop.name, "schedule": 3600, "args": [5]}}
    syncing = actor().starts(sync.sync_code, app)
    blocked(1)
    assert one.goes_on().jobs == 1
    assert syncing.result(PATIENCE) == 1
    row = Schedule.objects.get()
    assert (row.args, row.last_tick) == ("[5]", instant)
    assert row.next_tick > instant
    assert (fire().jobs, jobs()) == (0, 1)


def test_one_that_is_removed_while_it_fires_fires_once(held, due, actor, blocked):
    due("a", "b")
    one = held()
    app.conf.beat_schedule = {}
    syncing = actor().starts(sync.sync_code, app)
    blocked(1)
    assert one.goes_on().jobs == 2
    assert syncing.result(PATIENCE) == 2
    assert (Schedule.objects.count(), jobs()) == (0, 2)


def test_two_workers_that_start_at_once_write_each_schedule_once(due, actor):
    due()
    names = [f"s{n:03}" for n in range(300)]
    start = threading.Barrier(4)
    app.conf.beat_schedule = {name: {"task": noop.name, "schedule": 60} for name in names}

    def begin():
        start.wait(PATIENCE)
        sync.sync_code(app)

    for one in [actor().starts(begin) for _ in range(4)]:
        one.result(PATIENCE)
    assert list(Schedule.objects.order_by("name").values_list("name", flat=True)) == names
