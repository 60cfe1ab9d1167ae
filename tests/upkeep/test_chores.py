"""The leader's chores: actions that were left, what is old, and several rounds in one thread."""

from __future__ import annotations

from datetime import timedelta

import pytest

from celeriac.ledger.audit import Action
from celeriac.ledger.columns import BATCH
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import State
from celeriac.upkeep import pruner as pruning
from celeriac.upkeep.chores import together
from celeriac.upkeep.pruner import pruner, sweep_seconds
from celeriac.upkeep.replayer import LEFT_SECONDS, LOOK_SECONDS, replayer
from tests.ledger_helpers import Ledger, ending

ALL_DEAD = Selection(states=("dead",))


@pytest.fixture
def ledger(db) -> Ledger:
    return Ledger("default")


def deaths(ledger, count):
    jobs = ledger.running_many(count)
    ledger.finish(*(ending(job, "dead") for job in jobs))


def left(action, seconds=LEFT_SECONDS + 1):
    Action.objects.filter(pk=action.pk).update(moved_at=action.moved_at - timedelta(seconds=seconds))


# -- actions


def test_an_action_that_was_left_is_moved_to_its_end(ledger):
    deaths(ledger, BATCH + 1)
    action = ledger.action("replay", ALL_DEAD)
    round_ = replayer(lambda: True)
    assert round_() == LOOK_SECONDS  # its caller may be at it
    left(action)
    assert [round_() for _ in range(4)] == [0.0, 0.0, LOOK_SECONDS, LOOK_SECONDS]
    action.refresh_from_db()
    assert (action.state, action.changed) == ("done", BATCH + 1)


def test_who_does_not_lead_moves_nothing(ledger, django_assert_num_queries):
    deaths(ledger, 1)
    left(ledger.action("replay", ALL_DEAD))
    with django_assert_num_queries(0):
        assert replayer(lambda: False)() == LOOK_SECONDS


def test_a_canary_is_waited_for_without_haste(ledger):
    deaths(ledger, 3)
    left(ledger.action("replay", ALL_DEAD, canary=True))
    round_ = replayer(lambda: True)
    assert [round_() for _ in range(3)] == [0.0, LOOK_SECONDS, LOOK_SECONDS]
    ledger.finish(*(ending(job) for job in ledger.claim()))
    assert round_() == 0.0
    ledger.finish(*(ending(job) for job in ledger.claim()))
    assert round_() == LOOK_SECONDS
    assert Action.objects.get().state == "done"


def test_nothing_to_do_is_one_query(ledger, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert replayer(lambda: True)() == LOOK_SECONDS


# -- what is old


def retain(settings, **ages):
    settings.CELERIAC = {**settings.CELERIAC, **ages}


def test_without_a_retention_nothing_is_looked_at(ledger, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert pruner(lambda: True)() == pruning.HOUR


def test_what_is_old_goes_and_the_dead_stay(ledger, settings):
    retain(settings, RETENTION=timedelta(days=7))
    for state in (State.DEAD, State.SUCCEEDED, State.CANCELLED):
        ledger.at(state)
    ledger.jobs.update(finished_at=ledger.now() - timedelta(days=8))
    ledger.at(State.SUCCEEDED)
    assert pruner(lambda: False)() == pruning.MINUTE
    assert ledger.jobs.count() == 4
    assert pruner(lambda: True)() == pruning.HOUR
    assert sorted(ledger.jobs.values_list("state", flat=True)) == ["dead", "succeeded"]
    retain(settings, DEAD_RETENTION=timedelta(days=7))
    pruner(lambda: True)()
    assert list(ledger.jobs.values_list("state", flat=True)) == ["succeeded"]


def test_a_sweep_goes_on_where_it_was(ledger, settings):
    retain(settings, RETENTION=timedelta(days=7))
    jobs = ledger.running_many(BATCH + 1)
    ledger.finish(*(ending(job) for job in jobs))
    ledger.jobs.update(finished_at=ledger.now() - timedelta(days=8))
    round_ = pruner(lambda: True)
    assert [round_(), round_()] == [pruning.PART_SECONDS, pruning.HOUR]
    assert ledger.jobs.count() == 0


@pytest.mark.parametrize(
    ("ages", "seconds"),
    [
        ({"RETENTION": timedelta(days=30)}, 3600),
        ({"RETENTION": timedelta(days=1)}, 864),
        ({"RETENTION": timedelta(days=30), "DEAD_RETENTION": timedelta(days=1)}, 864),
        ({"DEAD_RETENTION": timedelta(minutes=1)}, 60),
    ],
)
def test_how_often(settings, ages, seconds):
    retain(settings, **ages)
    assert sweep_seconds() == seconds


# -- together


def test_each_at_its_own_pace_and_the_rest_is_until_the_next():
    now, done = [0.0], []

    def every(seconds):
        def round_():
            done.append((now[0], seconds))
            return seconds

        return round_

    round_ = together(lambda: now[0], every(2.0), every(5.0))
    rests = []
    while now[0] < 8.0:
        rests.append(round_())
        now[0] += rests[-1]
    assert done == [(0.0, 2.0), (0.0, 5.0), (2.0, 2.0), (4.0, 2.0), (5.0, 5.0), (6.0, 2.0)]
    assert rests == [2.0, 2.0, 1.0, 1.0, 2.0]
