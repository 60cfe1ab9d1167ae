"""A call that comes after a rest knocks: the worker is awake by the time the job is there."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.db import connections

from celeriac import faults
from celeriac.ledger import bell, doorbell
from celeriac.ledger.doorbell import KNOCK, RESTED_SECONDS, Ear
from celeriac.worker import claimer as claimers
from celeriac.worker.board import now
from tests.shop.celery import app
from tests.shop.tasks import noop


@pytest.fixture
def rests(monkeypatch):
    """Have the next call be the first in a while."""
    return lambda: monkeypatch.setattr(doorbell, "_wrote", -RESTED_SECONDS)


@pytest.fixture
def ear(transactional_db, rests):
    doorbell.close()
    rests()
    made = Ear()
    yield made
    made.close()


def call(**options):
    noop.apply_async(queue="q", **options)


def test_it_comes_before_the_job_is_written_and_the_ring_after(ear):
    before = []
    with faults.armed("insert.after_statement", lambda: before.extend(ear.heard())):
        call()
    assert before == [KNOCK + "q"]
    assert ear.heard() == ["q"]


def test_a_job_that_is_not_due_wakes_nobody_for_a_claim(ear):
    call(countdown=60)
    assert sorted(ear.heard()) == [bell.SCHEDULED, "q"]


def test_a_call_with_a_key_knocks_too(ear):
    call(idempotency_key="once")
    assert ear.heard() == [KNOCK + "q", "q"]


def test_many_calls_knock_once_for_each_queue(ear):
    app.enqueue_many(noop.s().set(queue=queue) for queue in ("q", "other", "q"))
    assert sorted(ear.heard()) == sorted([KNOCK + "q", KNOCK + "other", "q", "other"])


def test_who_writes_one_job_after_the_other_knocks_once(ear, rests):
    call()
    doorbell._wrote += 60.0  # however slow this machine is
    call()
    assert ear.heard() == [KNOCK + "q", "q", "q"]
    rests()
    call()
    assert ear.heard() == [KNOCK + "q", "q"]


def test_where_a_claim_would_be_in_the_way_nobody_knocks(ear, monkeypatch):
    """One writes at a time on SQLite."""
    monkeypatch.setattr(doorbell, "can_notify", lambda _: False)
    call()
    assert ear.heard() == ["q"]


def test_it_is_not_sent_to_workers_elsewhere(ear, heard):
    call()
    assert heard("q") == ["q"]


class TestTheWorker:
    @pytest.fixture
    def claims(self, claimer, monkeypatch):
        """Have the claimer wait for what rings, and return what it claimed from."""
        claimer._queues = SimpleNamespace(consume_from={"q": None})
        claimed, claim_ahead = [], claimers.claim_ahead

        def noted(worker, queue, *args, **kwargs):
            claimed.append(queue)
            return claim_ahead(worker, queue, *args, **kwargs)

        monkeypatch.setattr(claimers, "claim_ahead", noted)

        def after(*rung):
            for payload in rung:
                assert doorbell.ring(payload, connections["default"])
            claimer._round()
            made = claimed.copy()
            claimed.clear()
            return made

        doorbell.close()
        after("nothing of ours")  # it looks at all of its queues once
        yield after
        connections["default"].close()

    @pytest.fixture
    def rested(self, claimer):
        def rested():
            claimer.dispatcher.claimed = now() - RESTED_SECONDS

        return rested

    def test_that_rests_claims_at_a_knock_and_at_the_ring(self, claims, rested, ledger, pool):
        rested()
        assert claims(KNOCK + "q") == ["q"]
        assert not pool.given
        ledger.given()
        assert claims("q") == ["q"]
        assert len(pool.given) == 1

    def test_that_has_claimed_just_now_is_awake(self, claims, claimer):
        claimer.dispatcher.claimed = now() + 60.0  # however slow this machine is
        assert claims(KNOCK + "q") == []

    def test_that_does_not_consume_the_queue_goes_on_sleeping(self, claims, rested):
        rested()
        assert claims(KNOCK + "another") == []

    def test_that_finds_the_job_already_there_takes_it_once(self, claims, rested, ledger, pool):
        ledger.given()
        rested()
        assert claims(KNOCK + "q", "q") == ["q"]
        assert len(pool.given) == 1
        assert claims("q") == ["q"]
        assert len(pool.given) == 1
