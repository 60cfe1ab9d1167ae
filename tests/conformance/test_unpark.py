"""unpark: waiting → ready, once a worker knows the task."""

from __future__ import annotations

import pytest

from celeriac.ledger.states import State
from celeriac.ledger.verbs import UNREGISTERED
from tests.ledger_helpers import a_job, back, ids


def test_a_parked_job_is_ready_once_its_task_is_known(ledger):
    job = ledger.running(task="shop.new")
    ledger.reschedule(back(job, reason=UNREGISTERED))
    assert ledger.claim() == []
    assert ledger.unpark("shop.other") == {}
    assert ledger.unpark("shop.other", "shop.new") == {"q": 1}
    row = ledger.row(job)
    assert (row.state, row.reason, row.attempt) == ("ready", "", 0)
    assert ids(ledger.claim()) == [job.id]


def test_no_task_known_is_nothing_unparked(ledger):
    ledger.given(reason=UNREGISTERED)
    assert ledger.unpark() == {}


def test_it_counts_by_queue_up_to_a_limit(ledger):
    ledger.insert(*(a_job(reason=UNREGISTERED, queue=queue) for queue in "aab"))
    assert ledger.unpark("shop.noop") == {"a": 2, "b": 1}
    ledger.insert(*(a_job(reason=UNREGISTERED) for _ in range(3)))
    assert ledger.unpark("shop.noop", limit=2) == {"q": 2}
    assert ledger.unpark("shop.noop", limit=2) == {"q": 1}


def test_a_job_that_also_waits_for_parents_stays(ledger):
    parent = ledger.running()
    [child] = ledger.children_of(parent.id, reason=UNREGISTERED)
    assert ledger.unpark("shop.noop") == {}
    assert ledger.state(child) == "waiting"


@pytest.mark.parametrize("state", sorted(State))
def test_nothing_that_waits_for_something_else_is_unparked(ledger, state):
    job = ledger.at(state)
    before = ledger.values(job)
    assert ledger.unpark("shop.noop") == {}
    assert ledger.values(job) == before
