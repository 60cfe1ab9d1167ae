"""reschedule: running → scheduled, ready or waiting, for another attempt; what is not said stays as it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from celeriac.ledger.states import State
from tests.ledger_helpers import HOUR, back, ids, stale, story

FAR = datetime(2199, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
PAST = datetime(2001, 1, 2, 3, 4, 5, tzinfo=UTC)
CONTENT = ("queue", "priority", "args", "kwargs", "headers", "expires_at")


@pytest.mark.parametrize(
    ("when", "state"),
    [
        ({}, "ready"),
        ({"delay": -HOUR}, "ready"),
        ({"run_at": PAST}, "ready"),
        ({"run_at": PAST, "delay": HOUR}, "ready"),
        ({"delay": HOUR}, "scheduled"),
        ({"run_at": FAR}, "scheduled"),
        ({"run_at": FAR, "delay": -HOUR}, "scheduled"),
        ({"reason": "event"}, "waiting"),
        ({"reason": "event", "delay": HOUR}, "waiting"),
    ],
)
def test_when_it_may_run_again_decides_where_it_goes(ledger, when, state):
    job = ledger.running()
    ledger.jobs.filter(id=job.id).update(progress='"half"')
    assert ledger.reschedule(back(job, **when)) == [("q", state, 1)]
    row = ledger.row(job)
    assert (row.state, row.reason, row.claim_no) == (state, when.get("reason", ""), 1)
    assert (row.worker, row.started_at, row.progress, row.finished_at) == (None,) * 4
    if "run_at" in when:
        assert row.run_at == when["run_at"]
    else:
        assert (row.run_at - ledger.now()).total_seconds() == pytest.approx(when.get("delay", 0.0), abs=60)


def test_what_is_not_said_is_kept(ledger):
    job = ledger.running(priority=6, args='["a"]', kwargs='{"k":1}', headers='{"h":1}', expires_at=FAR)
    before = ledger.values(job)
    ledger.reschedule(back(job))
    after = ledger.values(job)
    assert {field: after[field] for field in CONTENT} == {field: before[field] for field in CONTENT}


def test_what_is_said_is_changed(ledger):
    job = ledger.running(priority=6, args='["a"]')
    said = {"queue": "slow", "priority": 0, "args": '["ů"]', "kwargs": '{"k":2}', "headers": '{"h":2}'}
    assert ledger.reschedule(back(job, **said, expires_at=FAR)) == [("slow", "ready", 1)]
    row = ledger.values(job)
    assert {field: row[field] for field in CONTENT} == said | {"expires_at": FAR}
    assert ids(ledger.claim(queue="slow")) == [job.id]


@pytest.mark.parametrize(("charge", "loss"), [(0, 0), (1, 0), (1, 1), (0, 1)])
def test_attempts_and_losses_are_charged_as_said(ledger, charge, loss):
    job = ledger.running(attempt=3)
    for time in (1, 2):
        ledger.reschedule(back(job, charge=charge, loss=loss))
        [job] = ledger.claim()
        assert (job.attempt, job.losses) == (3 + time * charge, time * loss)


def test_the_story_of_the_attempt_is_kept_with_the_number_it_had(ledger):
    job = ledger.running(attempt=1)
    ledger.reschedule(back(job, charge=1), failures=[story(job, kind="retry", traceback="so it went")])
    [attempt] = ledger.attempts(job)
    assert (attempt.number, attempt.claim_no, attempt.kind, attempt.traceback) == (2, 1, "retry", "so it went")


class TestTheFence:
    def test_a_stale_claim_changes_nothing_and_keeps_no_story(self, ledger):
        job = ledger.running()
        ledger.release(job)
        [again] = ledger.claim()
        before = ledger.values(job)
        assert ledger.reschedule(back(job, charge=1, args='["late"]'), failures=[story(job)]) == []
        assert ledger.values(job) == before
        assert ledger.attempts(job) == []
        assert ledger.reschedule(back(again)) == [("q", "ready", 1)]

    @pytest.mark.parametrize("state", [None, *sorted(set(State) - {State.RUNNING})])
    def test_only_a_running_job_is_rescheduled(self, ledger, state):
        job = ledger.at(state)
        before = ledger.values(job)
        assert ledger.reschedule(back(job, charge=1), failures=[story(job)]) == []
        assert ledger.values(job) == before
        assert ledger.attempts(job) == []

    def test_one_stale_return_costs_the_others_nothing(self, ledger):
        jobs = ledger.running_many(3)
        moved = ledger.reschedule(back(jobs[0]), back(stale(jobs[1])), back(jobs[2], delay=HOUR))
        assert sorted(moved) == [("q", "ready", 1), ("q", "scheduled", 1)]
        assert [ledger.state(job) for job in jobs] == ["ready", "running", "scheduled"]


def test_nothing_rescheduled_is_nothing_changed(ledger):
    assert ledger.reschedule() == []


def test_it_counts_by_queue_and_state(ledger):
    jobs = ledger.running_many(6)
    said = [{}, {}, {"queue": "b"}, {"delay": HOUR}, {"queue": "b", "delay": HOUR}, {"reason": "event"}]
    moved = ledger.reschedule(*(back(job, **how) for job, how in zip(jobs, said, strict=True)))
    wanted = [("b", "ready", 1), ("b", "scheduled", 1), ("q", "ready", 2), ("q", "scheduled", 1), ("q", "waiting", 1)]
    assert sorted(moved) == wanted


def test_a_thousand_and_more_are_rescheduled_at_once(ledger):
    jobs = ledger.running_many(1200)
    moved = ledger.reschedule(*(back(job, charge=1) for job in jobs), failures=[story(job) for job in jobs[:50]])
    assert moved == [("q", "ready", 1200)]
    ledger.balances(inserted=1200)
