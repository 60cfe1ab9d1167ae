"""revoke() with no broker at all: in the ledger, honoured by whoever runs the job."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async
from celery import chord, group
from celery.exceptions import TaskRevokedError
from django.db import connections, transaction

from celeriac.api.enqueue import outside_loop
from celeriac.ledger.models import Job
from tests.integration.looking import attempts, job, lines, now, started, state
from tests.shop.celery import app
from tests.shop.tasks import errback, hold, noop, retry_later, sleep, total, until_cancelled
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

REVOKED = ("cancelled", "revoked")


def test_a_group_a_list_and_an_id_of_ones_own():
    many = group(noop.s(n) for n in range(20)).apply_async(countdown=3600)
    many.revoke()
    assert {now(result) for result in many} == {REVOKED}
    named = noop.apply_async(countdown=3600, task_id="order-7")
    other = noop.apply_async(countdown=3600)
    answer = app.control.revoke(["order-7", other.id, "nobody's"], reply=True)
    assert answer == [{"ledger": {"ok": f"revoke: order-7, {other.id}"}}]
    assert now(named) == now(other) == REVOKED


def test_a_signal_that_does_not_exist_changes_nothing():
    later = noop.apply_async(countdown=3600)
    with pytest.raises((AttributeError, TypeError)):
        later.revoke(terminate=True, signal="SIGNONSENSE")
    assert job(later).state == "scheduled"


def test_a_revoke_that_is_rolled_back_asked_nobody(worker, tmp_path):
    gate = tmp_path / "gate"
    later, running = noop.apply_async(countdown=3600), hold.delay(str(gate))
    started(running)
    with transaction.atomic():
        later.revoke()
        running.revoke(terminate=True)
        transaction.set_rollback(True)
    assert job(later).state == "scheduled"
    assert job(running).cancel == ""
    gate.touch()
    assert running.get(timeout=10) == "held"
    with transaction.atomic():
        later.revoke()
    assert now(later) == REVOKED


def test_it_works_in_a_coroutine(worker, tmp_path):
    later, running = noop.apply_async(countdown=3600), until_cancelled.delay(str(tmp_path / "notes"))
    wait_until(lambda: lines(tmp_path / "notes"))  # running is the row; the body comes a moment later

    async def call():
        later.revoke()
        app.control.revoke([running.id])

    async def close():
        await sync_to_async(connections.close_all)()
        for _ in range(8):  # four threads, any of which may take it
            outside_loop(connections.close_all)

    asyncio.run(call())
    assert now(later) == REVOKED
    assert running.get(timeout=10) == "stopped"
    asyncio.run(close())


@pytest.mark.parametrize("then", ["retry", "replace", "ignore"])
def test_a_body_that_asks_to_run_again_or_agrees_is_cancelled(then, worker, tmp_path):
    path = tmp_path / "notes"
    running = until_cancelled.delay(str(path), then)
    wait_until(lambda: lines(path))
    running.revoke()
    assert state(running) == REVOKED
    assert lines(path) == ["start 0", "seen"]
    assert [attempt.message for attempt in attempts(running)] == (["not done"] if then == "retry" else [])
    assert Job.objects.count() == 1
    with pytest.raises(TaskRevokedError):
        running.get(timeout=5)


def test_outside_of_a_run_nobody_is_cancelled():
    assert until_cancelled.cancelled() is False


def test_a_retry_that_waits_is_cancelled(worker):
    result = retry_later.delay()
    wait_until(lambda: result.state == "RETRY")
    result.revoke()
    assert now(result) == REVOKED


def test_a_terminated_chord_header_tells_the_errback(worker, tmp_path):
    path, told = tmp_path / "notes", tmp_path / "told"
    body = chord([sleep.s(50, str(path)), noop.s(1)], total.s().on_error(errback.s(path=str(told))))()
    wait_until(lambda: lines(path))
    body.parent[0].revoke(terminate=True)
    wait_until(lambda: lines(told))
    assert "ChordError" in lines(told)[0]


def test_a_revoked_chord_header_tells_the_errback(worker, tmp_path):
    told = tmp_path / "told"
    header = [noop.s(1).set(countdown=3600), noop.s(1)]
    body = chord(header, total.s().on_error(errback.s(path=str(told))))()
    body.parent[0].revoke()
    wait_until(lambda: lines(told))
    assert "ChordError" in lines(told)[0]
