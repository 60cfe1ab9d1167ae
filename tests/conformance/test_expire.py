"""expire: resting → cancelled, past expires_at; what waited for it is freed."""

from __future__ import annotations

import pytest

from celeriac.ledger.states import ENDED, State
from celeriac.ledger.verbs import Settled
from tests.ledger_helpers import HOUR, a_job, ids


@pytest.mark.parametrize("state", ["waiting", "scheduled", "ready"])
def test_a_job_that_nobody_may_start_any_more_is_cancelled(ledger, state):
    job = ledger.at(state, expires_in=HOUR)
    assert ledger.expire() == Settled([], [])
    ledger.time_passes(job)
    assert ledger.expire() == Settled([job.id], [])
    row = ledger.row(job)
    assert (row.state, row.reason, row.attempt, row.result) == ("cancelled", "expired", 0, None)
    assert abs((row.finished_at - ledger.now()).total_seconds()) < 60


@pytest.mark.parametrize("state", [State.RUNNING, *sorted(ENDED)])
def test_a_job_that_was_started_in_time_does_not_expire(ledger, state):
    job = ledger.at(state, expires_in=HOUR)
    ledger.time_passes(job)
    before = ledger.values(job)
    assert ledger.expire() == Settled([], [])
    assert ledger.values(job) == before


def test_jobs_without_expiry_never_expire(ledger):
    job = ledger.given()
    ledger.time_passes(job)
    assert ledger.expire() == Settled([], [])


def test_what_waited_for_it_is_freed_once(ledger):
    parents = [ledger.given(expires_in=HOUR) for _ in range(2)]
    [both] = ledger.children_of(*ids(parents), queue="c")
    ledger.time_passes(parents[0])
    assert ledger.expire() == Settled([parents[0].id], [])
    assert ledger.row(both).waits_for == 1
    ledger.time_passes(parents[1])
    assert ledger.expire() == Settled([parents[1].id], ["c"])
    assert ledger.expire() == Settled([], [])
    assert ledger.state(both) == "ready"


def test_a_child_that_expires_with_its_parent_is_cancelled_and_not_freed(ledger):
    parent = ledger.given(expires_in=HOUR)
    [child] = ledger.children_of(parent.id, expires_in=HOUR)
    ledger.time_passes(parent, child)
    settled = ledger.expire()
    assert (set(settled.ids), settled.freed) == ({parent.id, child.id}, [])
    assert ledger.state(child) == "cancelled"


def test_a_limit_takes_the_longest_expired_first(ledger):
    jobs = [ledger.given(expires_in=HOUR) for _ in range(3)]
    for n, job in enumerate(jobs):
        ledger.time_passes(job, seconds=(2 + n) * HOUR)
    assert [ledger.expire(limit=1).ids for _ in range(4)] == [[jobs[2].id], [jobs[1].id], [jobs[0].id], []]


def test_a_thousand_and_more_expire_at_once(ledger):
    jobs = [a_job(expires_in=HOUR) for _ in range(1200)]
    ledger.insert(*jobs)
    ledger.time_passes(*jobs)
    assert len(ledger.expire(1100).ids) == 1100
    assert len(ledger.expire(1100).ids) == 100
    ledger.balances(inserted=1200)
