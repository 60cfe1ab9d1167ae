"""A claim's jobs are in the pool before the claim is committed: nothing of them may show until it is."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from celery.exceptions import WorkerLostError
from django.db import DatabaseError, OperationalError, connections

from celeriac import faults
from celeriac.ledger import prepared
from celeriac.worker import executor
from celeriac.worker.executor import Ran
from tests.ledger_helpers import ids
from tests.races.commits import refused
from tests.races.conftest import OTHER, PATIENCE
from tests.waiting import wait_until


@pytest.fixture
def naps(monkeypatch):
    """How long the process of a claim slept, waiting for its commit."""
    slept, sleep = [], executor.time.sleep
    monkeypatch.setattr(executor.time, "sleep", lambda seconds: slept.append(seconds) or sleep(seconds))
    return slept


def claim(claimer):
    """Claim as a worker's thread does, which closes its connection when that fails."""
    connection = connections["default"]
    prepared.pin(connection, "claim")
    try:
        claimer._claim_from("q", claimer.dispatcher.free, connection)
    finally:
        connection.close()


@pytest.fixture
def starts(claimer, actor):
    """Start a claim in a thread of its own."""

    def start():
        claimer._hot["q"] = None
        return actor().starts(claim, claimer)

    return start


@pytest.fixture
def gate():
    """Stop a claim when its jobs are in the pool, until the gate is set."""
    arrived, go = threading.Event(), threading.Event()
    with faults.armed("claimer.before_commit", lambda: arrived.set() or go.wait(PATIENCE)):
        yield SimpleNamespace(arrived=lambda: arrived.wait(PATIENCE), opens=go.set)


def test_no_body_starts_before_the_commit(ledger, actor, starts, pool, gate, flusher, bodies, naps):
    job = ledger.given()
    claiming = starts()
    assert gate.arrived()
    running = actor().starts(pool.given[0][0])
    wait_until(lambda: len(naps) > 10)
    assert bodies == []
    gate.opens()
    claiming.result(PATIENCE)
    assert running.result(PATIENCE).released == 0
    assert ids(bodies) == ids(flusher.ended) == [job.id]


def test_another_slots_share_is_given_after_the_commit(ledger, starts, pool, gate, flusher, bodies, naps):
    """The pool may let us wait with it until it has forked, and the first share would wait with us."""
    jobs = [ledger.given(), ledger.given()]
    claiming = starts()
    assert gate.arrived()
    assert len(pool.given) == 1
    gate.opens()
    claiming.result(PATIENCE)
    for run, _, _ in pool.given:
        run()
    assert ids(bodies) == ids(jobs)
    assert naps == []


def test_a_worker_that_drains_meanwhile_gives_back_what_was_committed(
    ledger, actor, starts, pool, gate, board, flusher, bodies
):
    """Not before: until then the ledger has nothing that could be given back."""
    job = ledger.given()
    claiming = starts()
    assert gate.arrived()
    board.draining = True
    running = actor().starts(pool.given[0][0])
    gate.opens()
    claiming.result(PATIENCE)
    assert running.result(PATIENCE) == Ran({}, 1)
    assert ids(flusher.released) == [job.id]
    assert bodies == []


def test_a_process_whose_worker_died_meanwhile_starts_nothing(ledger, starts, pool, gate, board, flusher, bodies):
    ledger.given()
    claiming = starts()
    assert gate.arrived()
    board.owner = 0
    assert pool.given[0][0]() == Ran({}, 0)
    gate.opens()
    claiming.result(PATIENCE)
    assert bodies == flusher.released == []


class TestACommitThatFailed:
    """By then the jobs may be another's, under the very `claim_no` that we had."""

    @pytest.fixture
    def theirs(self, ledger, starts):
        job = ledger.given()
        with refused(), pytest.raises(DatabaseError, match="no commit"):
            starts().result(PATIENCE)
        [claimed] = ledger.claim(worker=OTHER)
        assert (claimed.id, claimed.claim_no) == (job.id, 1)
        return ledger.values(claimed)

    def test_starts_nothing_and_gives_nothing_back(self, ledger, theirs, claimer, pool, flusher, bodies):
        [(run, returned, _)] = pool.given
        ran = run()
        assert ran == Ran({}, 0)
        assert bodies == flusher.released == []
        assert claimer.dispatcher.free == 1
        returned(ran)
        assert claimer.dispatcher.free == 2
        claimer._take_stock()
        assert ledger.values(ledger.jobs.get()) == theirs

    def test_whose_process_dies_gives_nothing_back(self, ledger, theirs, claimer, pool):
        [(_, _, failed)] = pool.given
        failed(SimpleNamespace(exception=WorkerLostError("gone")))
        claimer._take_stock()
        assert ledger.values(ledger.jobs.get()) == theirs
        assert claimer.dispatcher.free == 2

    def test_that_no_process_took_gives_nothing_back(self, ledger, theirs, claimer):
        [claim_] = claimer.dispatcher.claims
        claimer.dispatcher.retire(claim_)
        claimer._take_stock()
        assert ledger.values(ledger.jobs.get()) == theirs

    def test_the_next_claim_of_its_slot_starts(self, ledger, theirs, claimer, pool, starts, flusher, bodies):
        returned = pool.given[0][1]
        returned(pool.given[0][0]())
        job = ledger.given()
        starts().result(PATIENCE)
        assert pool.given[1][0]().stats
        assert ids(bodies) == [job.id]


def test_what_was_committed_though_nobody_heard_it_is_given_back(ledger, claimer, starts, pool, flusher, bodies):
    """While the process has not come back from it: its jobs are not known as ours any more."""
    job = ledger.given()

    def lost():
        raise OperationalError("the answer is lost")

    with faults.armed("claimer.before_commit", lost), pytest.raises(OperationalError, match="is lost"):
        starts().result(PATIENCE)
    wait_until(lambda: ledger.state(job) == "running")
    claimer._give_back_strays(at_once=True)
    assert ledger.state(job) == "ready"
    assert pool.given[0][0]() == Ran({}, 0)
    assert bodies == []


def test_a_pool_that_takes_nothing_has_its_jobs_given_back_after_the_commit(ledger, claimer, starts, pool, gate):
    job = ledger.given()
    pool.apply_async = lambda *_, **__: None
    claiming = starts()
    assert gate.arrived()
    gate.opens()
    claiming.result(PATIENCE)
    row = ledger.row(job)
    assert (row.state, row.claim_no) == ("ready", 1)
    assert claimer.dispatcher.free == 2


def test_a_suspect_that_has_to_wait_is_put_off_after_the_commit(ledger, claimer, starts, pool, gate):
    jobs = [ledger.given(), ledger.given()]
    ledger.jobs.update(suspect=True)
    gate.opens()
    starts().result(PATIENCE)
    ledger.jobs.update(suspect=True)
    assert len(pool.given) == 1
    late = ledger.given()
    ledger.jobs.filter(id=late.id).update(suspect=True)
    starts().result(PATIENCE)
    assert [ledger.state(job) for job in (*jobs, late)] == ["running", "running", "scheduled"]
