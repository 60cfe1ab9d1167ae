"""prune: what ended long ago is deleted with all that is kept of it, a part of the table at a time."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from celeriac import events
from celeriac.ledger import verbs
from celeriac.ledger.ids import key_digest
from celeriac.ledger.models import Attempt, Edge, Effect
from celeriac.ledger.states import ENDED, State
from tests.ledger_helpers import HOUR, ending, ids, story

WEEK = timedelta(days=7)
FIRST = UUID(int=0)


def ages(ledger, *jobs, by=2 * WEEK):
    for job in jobs:
        ledger.jobs.filter(id=job.id).update(finished_at=ledger.now() - by)


def prune(ledger, after=FIRST, *, age=WEEK, dead_age=WEEK, **how):
    return verbs.prune(after, age=age, dead_age=dead_age, **how, using=ledger.alias)


@pytest.mark.parametrize("state", sorted(ENDED))
def test_what_ended_long_ago_goes_and_what_did_not_stays(ledger, state):
    old, new = ledger.at(state), ledger.at(state)
    ages(ledger, old)
    assert prune(ledger) == (1, None)
    assert list(ledger.jobs.values_list("id", flat=True)) == [new.id]


@pytest.mark.parametrize("state", sorted(set(State) - ENDED))
def test_what_is_open_stays_however_old(ledger, state):
    job = ledger.at(state)
    ledger.jobs.update(created_at=ledger.now() - 2 * WEEK)
    assert prune(ledger) == (0, None)
    assert ledger.state(job) == state


@pytest.mark.parametrize(
    ("age", "dead_age", "left"),
    [
        (None, None, {"succeeded", "cancelled", "dead"}),
        (WEEK, None, {"dead"}),
        (None, WEEK, {"succeeded", "cancelled"}),
    ],
)
def test_the_dead_have_an_age_of_their_own(ledger, age, dead_age, left):
    ages(ledger, *(ledger.at(state) for state in ENDED))
    prune(ledger, age=age, dead_age=dead_age)
    assert set(ledger.jobs.values_list("state", flat=True)) == left


def test_its_attempts_effects_and_edges_go_with_it(ledger):
    job = ledger.running()
    [child] = ledger.children_of(job.id)
    ledger.finish(ending(job, "dead"), failures=[story(job)])
    told = {"name": "mail", "claim_no": 1, "begun_at": ledger.now()}
    Effect.objects.using(ledger.alias).create(job_id=job.id, **told)
    ledger.discard(job)
    changes = ledger.changes()
    ages(ledger, job)
    assert prune(ledger).deleted == 1
    assert [model.objects.using(ledger.alias).count() for model in (Attempt, Effect, Edge)] == [0, 0, 0]
    assert ledger.changes() == changes == {job.id: "dead"}
    assert ledger.state(child) == "ready"


def test_what_something_waits_for_stays(ledger):
    one, two = ledger.running_many(2)
    ledger.children_of(one.id, two.id)
    ledger.finish(ending(one))
    ages(ledger, one)
    assert prune(ledger).deleted == 0
    ledger.finish(ending(two))
    assert prune(ledger).deleted == 1


@pytest.mark.parametrize(("hold_for", "deleted"), [(HOUR, 0), (None, 0), (-HOUR, 1)])
def test_a_key_that_is_held_keeps_its_row(ledger, hold_for, deleted):
    held = key_digest("shop.noop", "order-7")
    job = ledger.at(State.SUCCEEDED, key="order-7", held=held, hold="until", hold_for=hold_for)
    ages(ledger, job)
    assert prune(ledger).deleted == deleted


def test_part_after_part(ledger):
    jobs = sorted((ledger.at(state) for state in [State.DEAD] * 5 + [State.SUCCEEDED] * 5), key=lambda job: job.id)
    ages(ledger, *jobs[::2])
    found = prune(ledger, look=4)
    assert found == (2, jobs[3].id)
    assert prune(ledger, found.next, look=4, limit=1) == (1, jobs[4].id)
    assert prune(ledger, jobs[4].id, look=4) == (2, jobs[8].id)
    assert prune(ledger, jobs[8].id, look=4) == (0, None)
    assert set(ledger.jobs.values_list("id", flat=True)) == set(ids(jobs[1::2]))


def test_it_says_what_it_did_and_nothing_of_nothing(ledger):
    job = ledger.at(State.DEAD)
    heard = []
    subscriber = events.subscribe(lambda name, facts: heard.append((name, facts)))
    try:
        prune(ledger)
        ages(ledger, job)
        prune(ledger)
    finally:
        events.unsubscribe(subscriber)
    assert heard == [("prune", {"deleted": 1})]
