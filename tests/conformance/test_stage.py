"""stage: scheduled → ready, for what is due; and when the next one will be."""

from __future__ import annotations

import pytest

from celeriac.ledger.states import State
from celeriac.ledger.verbs import Staged
from tests.ledger_helpers import HOUR, a_job, back, ids


def test_what_is_due_becomes_ready_and_the_rest_says_when_it_will_be(ledger):
    due, later = ledger.given(delay=HOUR), ledger.given(delay=HOUR)
    before = ledger.values(later)
    ledger.time_passes(due)
    staged = ledger.stage()
    assert (staged.count, staged.queues) == (1, ["q"])
    assert staged.next_due == pytest.approx(HOUR, abs=60)
    assert ledger.state(due) == "ready"
    assert ledger.values(later) == before
    assert ids(ledger.claim()) == [due.id]


def test_nothing_due_is_nothing_staged(ledger):
    assert ledger.stage() == Staged(0, [], None)
    ledger.given(delay=HOUR)
    staged = ledger.stage()
    assert (staged.count, staged.queues) == (0, [])
    assert staged.next_due == pytest.approx(HOUR, abs=60)


def test_a_retry_is_staged_like_a_countdown(ledger):
    job = ledger.running()
    ledger.reschedule(back(job, charge=1, delay=HOUR))
    ledger.time_passes(job)
    assert ledger.stage().count == 1
    assert ledger.row(job).attempt == 1


def test_a_limit_takes_the_longest_due_first(ledger):
    jobs = [ledger.given(delay=HOUR, queue=f"q{n}") for n in range(3)]
    for n, job in enumerate(jobs):
        ledger.time_passes(job, seconds=(2 + n) * HOUR)
    assert ledger.stage(limit=1).queues == ["q2"]
    staged = ledger.stage(limit=1)
    assert (staged.count, staged.queues) == (1, ["q1"])
    assert staged.next_due <= 0  # one more is due already
    assert ledger.stage(limit=9) == Staged(1, ["q0"], None)


def test_each_queue_is_named_once(ledger):
    jobs = [a_job(delay=HOUR, queue=queue) for queue in "abab"]
    ledger.insert(*jobs)
    ledger.time_passes(*jobs)
    staged = ledger.stage()
    assert (staged.count, sorted(staged.queues)) == (4, ["a", "b"])


def test_an_expired_job_may_be_staged_but_is_never_claimed(ledger):
    job = ledger.given(delay=HOUR, expires_in=HOUR)
    ledger.time_passes(job)
    ledger.stage()
    assert ledger.claim() == []


@pytest.mark.parametrize("state", sorted(set(State) - {State.SCHEDULED}))
def test_nothing_else_is_staged(ledger, state):
    job = ledger.at(state)
    ledger.time_passes(job)
    before = ledger.values(job)
    assert ledger.stage() == Staged(0, [], None)
    assert ledger.values(job) == before


def test_a_thousand_and_more_are_staged_at_once(ledger):
    jobs = [a_job(delay=HOUR) for _ in range(1200)]
    ledger.insert(*jobs)
    ledger.time_passes(*jobs)
    assert [ledger.stage(1100).count for _ in range(3)] == [1100, 100, 0]
    ledger.balances(inserted=1200)
