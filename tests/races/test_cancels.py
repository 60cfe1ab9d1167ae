"""Somebody revokes a job while somebody else moves it: it is cancelled or marked, never missed."""

from __future__ import annotations

import threading
from uuid import UUID

import pytest

from celeriac import faults
from celeriac.ledger.models import Job
from tests.ledger_helpers import ending, ids
from tests.races.conftest import PATIENCE

OTHER = UUID("00000000-0000-4000-8000-000000000002")


def test_a_job_that_is_being_claimed_is_marked(ledger, actor, blocked):
    job = ledger.given()
    worker = actor()
    worker.begins()
    worker.does(ledger.claim)
    revoking = actor().starts(ledger.cancel, job)
    blocked(1)
    worker.commits()
    assert revoking.result(PATIENCE).asked == [job.id]
    row = ledger.row(job)
    assert (row.state, row.cancel) == ("running", "ask")


def test_a_job_whose_claim_was_undone_is_cancelled(ledger, actor, blocked):
    job = ledger.given()
    worker = actor()
    worker.begins()
    worker.does(ledger.claim)
    revoking = actor().starts(ledger.cancel, job)
    blocked(1)
    worker.rolls_back()
    assert revoking.result(PATIENCE).settled == [job.id]
    assert ledger.state(job) == "cancelled"


def test_a_claim_passes_over_what_is_being_revoked(ledger, actor):
    job, other = ledger.given(priority=9), ledger.given()
    operator = actor()
    operator.begins()
    operator.does(ledger.cancel, job)
    assert ids(ledger.claim()) == [other.id]
    operator.commits()
    assert ledger.state(job) == "cancelled"


def test_nothing_moves_between_the_look_and_the_end(ledger, actor, blocked):
    """A release in between would leave a job that was seen running, is not marked, and is not cancelled."""
    job = ledger.running()
    held, go = threading.Event(), threading.Event()

    def stop():
        held.set()
        go.wait(PATIENCE)

    with faults.armed("cancel.after_marks", stop):
        revoking = actor().starts(ledger.cancel, job)
        assert held.wait(PATIENCE)
        releasing = actor().starts(ledger.release, job)
        blocked(1)
        go.set()
        assert revoking.result(PATIENCE).asked == [job.id]
    assert releasing.result(PATIENCE) == {"q": 1}
    assert ledger.claim() == []
    assert ledger.expire().ids == [job.id]


@pytest.mark.parametrize("first", ["the end", "the revoke"])
def test_an_end_and_a_revoke_at_once_leave_the_end(ledger, actor, blocked, first):
    job = ledger.running()
    acts = [lambda: ledger.finish(ending(job)), lambda: ledger.cancel(job)]
    early, late = acts if first == "the end" else acts[::-1]
    one = actor()
    one.begins()
    one.does(early)
    waiting = actor().starts(late)
    blocked(1)
    one.commits()
    done = waiting.result(PATIENCE)
    assert ledger.state(job) == "succeeded"
    if first == "the end":
        assert done.ended == [job.id]


def test_a_rolled_back_revoke_asked_nobody(ledger, actor):
    runs, rests = ledger.running(), ledger.given()
    operator = actor()
    operator.begins()
    operator.does(ledger.cancel, runs, rests)
    operator.rolls_back()
    assert ledger.row(runs).cancel == ""
    assert ledger.state(rests) == "ready"


def test_two_who_lock_the_same_jobs_in_another_order_both_get_there(ledger, actor, blocked):
    """PostgreSQL ends one of the two after its deadlock_timeout; the revoke tries again by itself."""
    jobs = sorted(ledger.running_many(2), key=lambda job: job.id)
    worker = actor()
    worker.begins()
    worker.does(ledger.release, jobs[1])
    revoking = actor().starts(ledger.cancel, *jobs)
    blocked(1)  # it has the first and waits for the second
    # The worker shall not be the one that is ended: its patience with locks is longer.
    worker.does(lambda: _execute("SET LOCAL deadlock_timeout = '30s'"))
    ending_ = worker.starts(ledger.finish, ending(jobs[0]))
    assert ending_.result(PATIENCE).count == 1
    worker.commits()
    done = revoking.result(PATIENCE)
    assert (done.settled, done.ended) == ([jobs[1].id], [jobs[0].id])
    assert {row.state for row in Job.objects.all()} == {"succeeded", "cancelled"}


def _execute(sql):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql)
