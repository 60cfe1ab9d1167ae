"""A claim that no process is free for waits in the pool for whoever ends first, and not for long."""

from __future__ import annotations

import pytest
from django.db import connections

from celeriac.ledger import prepared
from celeriac.worker.deadlines import SOON, UNTAKEN, Deadlines
from celeriac.worker.executor import Ran
from celeriac.worker.pace import Pace
from tests.ledger_helpers import ids
from tests.races.conftest import OTHER


@pytest.fixture
def connection(transactional_db):
    connection = connections["default"]
    prepared.pin(connection, "claim")
    yield connection
    connection.close()


@pytest.fixture
def claims(claimer, connection, monkeypatch):
    """Claim as a round does, one job a process."""
    monkeypatch.setattr(Pace, "MOST", 1)

    def hot() -> int:
        claimer._hot["q"] = None
        claimer._claim_hot(connection)
        return len(claimer.dispatcher.claims)

    return hot


@pytest.fixture
def spare(claims, claimer, ledger):
    """One of three claims, and its job; two processes are at the others."""
    for _ in range(4):
        ledger.given()
    claimer.pace.mean = Pace.GUESS / 10
    assert claims() == 3
    [claim] = [claim for claim in claimer.dispatcher.claims if claim.spare]
    return claim


@pytest.fixture
def withdraws(claimer, spare):
    """Look as the deadlines do when it has waited for as long as a claim may run."""

    def look() -> None:
        deadlines = Deadlines(claimer.dispatcher)
        for claim in claimer.dispatcher.claims:
            claim.begun -= UNTAKEN / 2
        deadlines.look()
        spare.halted -= SOON
        deadlines.look()

    return look


def test_of_quick_jobs_there_is_one_more_than_processes(spare, claims, ledger):
    assert claims() == 3
    assert ledger.jobs.filter(state="ready").count() == 1


def test_of_others_there_is_not(claims, claimer, ledger):
    for _ in range(4):
        ledger.given()
    claimer.pace.mean = Pace.GUESS
    assert claims() == 2


def test_a_process_that_is_free_takes_it(spare, claimer, pool, flusher, bodies):
    run, _, _ = pool.given[-1]
    assert not claimer.dispatcher.board.taken(spare.slot)
    run()
    assert claimer.dispatcher.board.taken(spare.slot)
    assert ids(bodies) == ids(spare.jobs)


def test_it_goes_back_uncharged_when_no_process_came(spare, withdraws, claimer, ledger):
    withdraws()
    claimer._take_stock()
    [job] = spare.jobs
    row = ledger.row(job)
    assert (row.state, row.worker, row.attempt, row.losses) == ("ready", None, 0, 0)


def test_a_process_that_comes_too_late_starts_nothing(spare, withdraws, claimer, pool, flusher, bodies, ledger):
    withdraws()
    claimer._take_stock()
    [job] = ledger.claim(2, worker=OTHER)[:1]
    theirs = ledger.values(job)
    run, returned, _ = pool.given[-1]
    ran = run()
    assert (ran, bodies) == (Ran({}, 1), [])
    slot = spare.slot
    returned(ran)
    assert slot in claimer.dispatcher.board.free
    assert ledger.values(job) == theirs


def test_no_other_is_claimed_before_the_pool_is_rid_of_it(spare, withdraws, claims, claimer, pool, flusher, bodies):
    withdraws()
    assert claims() == 2
    run, returned, _ = pool.given[-1]
    returned(run())
    for claim in claimer.dispatcher.claims:
        claim.begun += UNTAKEN
    assert claims() == 3
    assert bodies == []


def test_a_process_that_came_before_the_second_look_keeps_it(spare, claimer, pool, flusher, bodies):
    deadlines = Deadlines(claimer.dispatcher)
    spare.begun -= UNTAKEN / 2
    claimer.dispatcher.board.take(spare.slot)  # it has not looked yet whether it may start
    deadlines.look()
    assert spare.halted > 1e9
    run, _, _ = pool.given[-1]
    run()
    assert ids(bodies) == ids(spare.jobs)
    deadlines.look()
    assert not claimer.dispatcher.fallen


def test_of_a_queue_without_a_backlog_there_is_none(claims, claimer, connection, ledger, monkeypatch):
    """Whoever comes next may be more urgent."""
    monkeypatch.setattr(Pace, "MOST", 10)
    claimer.pace.mean = Pace.GUESS / 10
    for _ in range(2):
        ledger.given()
    assert claims() == 2
    urgent = ledger.given()
    assert claims() == 2
    assert ledger.state(urgent) == "ready"
