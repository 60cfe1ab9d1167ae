"""claim: ready → running, the most urgent first, under a claim number that only grows."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from celeriac.ledger.verbs import claim_ahead
from tests.ledger_helpers import HOUR, WORKER, a_job, ending, ids

NOON = datetime(2020, 6, 1, 12, tzinfo=UTC)


def test_a_claimed_job_is_running_and_its_workers(ledger):
    job = ledger.given(priority=4, args='["á"]', kwargs='{"k":1}', headers='{"h":1}', attempt=2, expires_in=HOUR)
    [claimed] = ledger.claim()
    row = ledger.row(job)
    assert (row.state, row.worker, row.claim_no) == ("running", WORKER, 1)
    assert abs((row.started_at - ledger.now()).total_seconds()) < 60
    assert claimed[:8] == (job.id, "shop.noop", "q", 4, '["á"]', '{"k":1}', '{"h":1}', 2)
    assert (claimed.losses, claimed.claim_no) == (0, 1)
    assert (claimed.run_at, claimed.expires_at) == (row.run_at, row.expires_at)
    assert isinstance(claimed.id, UUID)


def test_the_order_is_priority_then_time_then_id(ledger):
    when = [NOON, NOON + timedelta(microseconds=1), NOON + timedelta(seconds=1)]
    jobs = [a_job(priority=p, run_at=at) for p in (9, 5, 0) for at in when for _ in range(2)]
    jobs.sort(key=lambda job: (-job.priority, job.run_at, job.id))
    shuffled = random.Random(7).sample(jobs, len(jobs))
    ledger.insert(*shuffled)
    assert ids(ledger.claim()) == ids(jobs)


def test_ahead_of_its_commit_it_is_the_same_claim(ledger):
    jobs = [ledger.given(), ledger.given(priority=3)]
    claimed, commit = claim_ahead(WORKER, "q", 10, using=ledger.alias)
    commit()
    assert ids(claimed) == ids(jobs[::-1])
    assert [ledger.state(job) for job in jobs] == ["running"] * 2
    nothing, commit = claim_ahead(WORKER, "q", 10, using=ledger.alias)
    commit()
    assert nothing == []


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_a_limit_takes_the_front_of_the_line(ledger, limit):
    jobs = [a_job(run_at=NOON + timedelta(seconds=n)) for n in range(5)]
    ledger.insert(*jobs[::-1])
    taken = [ids(ledger.claim(limit)) for _ in range(5)]
    assert taken[0] == ids(jobs[:limit])
    assert [id_ for some in taken for id_ in some] == ids(jobs)


def test_a_claim_is_of_one_queue(ledger):
    mine, other = ledger.given(queue="mine"), ledger.given(queue="other")
    assert ids(ledger.claim(queue="mine")) == [mine.id]
    assert ledger.state(other) == "ready"
    assert ledger.claim(queue="none") == []


def test_a_paused_queue_gives_nothing_until_it_is_resumed(ledger):
    job = ledger.given()
    ledger.pause("q")
    ledger.pause("other", paused=False)
    assert ledger.claim() == []
    assert ledger.state(job) == "ready"
    ledger.pause("q", paused=False)
    assert ids(ledger.claim()) == [job.id]


def test_pausing_one_queue_leaves_the_others(ledger):
    ledger.pause("other")
    job = ledger.given()
    assert ids(ledger.claim()) == [job.id]


def test_an_expired_job_is_not_claimed_and_does_not_use_up_the_limit(ledger):
    expired, first = ledger.given(priority=9, expires_in=HOUR), ledger.given()
    ledger.given(expires_in=HOUR)
    ledger.time_passes(expired)
    assert ids(ledger.claim(1)) == [first.id]
    assert ledger.state(expired) == "ready"


@pytest.mark.parametrize("state", [None, "waiting", "scheduled", "running", "succeeded", "dead", "cancelled"])
def test_only_ready_jobs_are_claimed(ledger, state):
    job = ledger.at(state)
    before = ledger.values(job)
    assert ledger.claim() == []
    assert ledger.values(job) == before


def test_each_claim_has_a_higher_number_than_the_last(ledger):
    job = ledger.running()
    for number in (1, 2, 3):
        assert (job.claim_no, ledger.row(job).claim_no) == (number, number)
        ledger.release(job)
        [job] = ledger.claim()


def test_a_job_is_claimed_once(ledger):
    ledger.given()
    other = UUID(int=2)
    assert len(ledger.claim()) == 1
    assert ledger.claim(worker=other) == []


def test_a_thousand_and_more_are_claimed_at_once(ledger):
    jobs = [a_job(priority=n % 10) for n in range(1500)]
    ledger.insert(*jobs)
    claimed = ledger.claim(1234)
    assert len(claimed) == 1234
    priorities = [job.priority for job in claimed]
    assert priorities == sorted(priorities, reverse=True)
    ledger.finish(*(ending(job) for job in claimed))
    ledger.balances(inserted=1500)
