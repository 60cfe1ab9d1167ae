"""release: running → ready, for what did not start: its place in the line is kept, no attempt is charged."""

from __future__ import annotations

import pytest

from tests.ledger_helpers import a_job, ids, stale


def test_a_released_job_is_as_if_it_was_never_claimed(ledger):
    job = ledger.given(priority=3, attempt=2, args='["a"]')
    before = ledger.values(job)
    [claimed] = ledger.claim()
    ledger.jobs.filter(id=job.id).update(progress='{"state": "HALF"}')
    assert ledger.release(claimed) == {"q": 1}
    assert ledger.values(job) == before | {"claim_no": 1}


def test_it_is_the_next_to_be_claimed_again(ledger):
    jobs = [ledger.given() for _ in range(3)]
    ledger.release(*ledger.claim(1))
    assert ids(ledger.claim()) == ids(jobs)


def test_it_counts_by_queue_what_was_still_ours(ledger):
    ledger.insert(*(a_job(queue=queue) for queue in "aaabb"))
    a, b = ledger.claim(queue="a"), ledger.claim(queue="b")
    assert ledger.release(stale(a[0]), *a[1:], *b) == {"a": 2, "b": 2}
    assert ledger.state(a[0]) == "running"


def test_nothing_released_is_nothing_said(ledger):
    assert ledger.release() == {}
    assert ledger.release(stale(ledger.running())) == {}


@pytest.mark.parametrize("state", [None, "waiting", "scheduled", "ready", "succeeded", "dead", "cancelled"])
def test_what_does_not_run_is_not_released(ledger, state):
    job = ledger.at(state)
    before = ledger.values(job)
    assert ledger.release(job) == {}
    assert ledger.values(job) == before


def test_a_released_claim_cannot_release_the_next_one(ledger):
    job = ledger.running()
    ledger.release(job)
    [again] = ledger.claim()
    assert ledger.release(job) == {}
    assert ledger.release(again) == {"q": 1}


def test_a_thousand_and_more_are_released_at_once(ledger):
    jobs = ledger.running_many(1200)
    assert ledger.release(*jobs) == {"q": 1200}
