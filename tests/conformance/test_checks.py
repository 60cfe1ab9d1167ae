"""The database itself refuses half-states, whoever writes them."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, IntegrityError, connections, transaction
from django.utils import timezone

from celeriac.ledger.models import Attempt, Edge
from celeriac.ledger.states import ENDED, State
from tests.ledger_helpers import WORKER, an_id

NOT_RUNNING = sorted(set(State) - {State.RUNNING})
OPEN = sorted(set(State) - ENDED)


@pytest.fixture(autouse=True)
def enforced(ledger):
    if not connections[ledger.alias].features.supports_table_check_constraints:
        pytest.skip("this database enforces no CHECK")


def refused(ledger, job, **fields):
    before = ledger.values(job)
    with pytest.raises(DatabaseError), transaction.atomic(using=ledger.alias):
        ledger.jobs.filter(id=job.id).update(**fields)
    return ledger.values(job) == before


def test_a_state_nobody_knows(ledger):
    job = ledger.at(State.READY)
    assert refused(ledger, job, state="lost")
    assert refused(ledger, job, state="")


def test_running_without_a_worker(ledger):
    assert refused(ledger, ledger.at(State.READY), state="running")
    assert refused(ledger, ledger.at(State.RUNNING), worker=None)


@pytest.mark.parametrize("state", NOT_RUNNING)
def test_a_worker_without_running(ledger, state):
    assert refused(ledger, ledger.at(state), worker=WORKER)


@pytest.mark.parametrize("state", sorted(ENDED))
def test_ended_without_a_time_of_it(ledger, state):
    assert refused(ledger, ledger.at(State.READY), state=state)
    assert refused(ledger, ledger.at(state), finished_at=None)


@pytest.mark.parametrize("state", OPEN)
def test_a_time_of_an_end_that_was_not(ledger, state):
    assert refused(ledger, ledger.at(state), finished_at=timezone.now())


def test_waiting_for_nothing(ledger):
    assert refused(ledger, ledger.at(State.READY), state="waiting")
    assert refused(ledger, ledger.at(State.WAITING), reason="")


@pytest.mark.parametrize("wrong", [{"priority": -1}, {"priority": 10}, {"waits_for": -1}])
def test_a_number_out_of_range(ledger, wrong):
    assert refused(ledger, ledger.at(State.READY), **wrong)


def test_the_same_edge_twice(ledger):
    parent = an_id()
    [child] = ledger.children_of(parent)
    with pytest.raises(IntegrityError), transaction.atomic(using=ledger.alias):
        Edge.objects.using(ledger.alias).create(parent=parent, child_id=child.id, position=1)


def test_two_stories_of_one_claim(ledger):
    job = ledger.running()
    told = {"job_id": job.id, "number": 1, "claim_no": 1, "kind": "failed", "finished_at": timezone.now()}
    Attempt.objects.using(ledger.alias).create(**told)
    with pytest.raises(IntegrityError), transaction.atomic(using=ledger.alias):
        Attempt.objects.using(ledger.alias).create(**told)
