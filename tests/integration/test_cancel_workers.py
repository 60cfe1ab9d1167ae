"""revoke() where each test says which workers there are, if any, and of which pool."""

from __future__ import annotations

import os
import signal

import pytest
from celery import chord
from celery.exceptions import TaskRevokedError

from celeriac.ledger.models import Job, Worker
from celeriac.ledger.queries import held_by
from celeriac.ledger.verbs import release
from tests.integration.looking import ended, job, lines, now, settings_env, state
from tests.shop.celery import app
from tests.shop.tasks import hold, noop, note, sleep, total, until_cancelled
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

REVOKED = ("cancelled", "revoked")


def test_neither_a_worker_nor_a_broker_has_to_be_there():
    later, ready = noop.apply_async(countdown=3600), noop.delay()
    chord([noop.s(1)], total.s())()
    join = Job.objects.get(state="waiting")
    for result in (later, ready, app.AsyncResult(str(join.id))):
        assert result.revoke() is None
        assert now(result) == REVOKED
        assert result.state == "REVOKED"
        with pytest.raises(TaskRevokedError, match="revoked"):
            result.get(timeout=5)
    assert ready.revoke() is None
    assert app.control.revoke("nobody knows it") is None


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_body_sees_that_it_was_asked_and_its_end_stands(pool, celery_worker_process, tmp_path):
    celery_worker_process("tests.shop.celery", "-c", "1", "-P", pool)
    path = tmp_path / "notes"
    running = until_cancelled.delay(str(path))
    wait_until(lambda: lines(path))
    running.revoke()
    assert running.get(timeout=10) == "stopped"
    assert (job(running).state, job(running).cancel) == ("succeeded", "ask")
    failing = until_cancelled.delay(str(path), "fail")
    wait_until(lambda: lines(path)[-1] == "start 0")
    failing.revoke()
    assert state(failing) == ("dead", "failed")
    # The mark was that job's alone.
    assert noop.delay(1).get(timeout=10) == 1


def test_terminate_ends_a_hung_body_at_once_and_no_other(celery_worker_process, tmp_path):
    path = tmp_path / "notes"
    slow = sleep.apply_async((50, str(path)), priority=9)
    mates = [noop.delay(n) for n in range(30)]
    celery_worker_process("tests.shop.celery", "-c", "1")
    wait_until(lambda: lines(path))
    slow.revoke(terminate=True)
    assert state(slow) == ("cancelled", "terminated")
    assert (job(slow).attempt, job(slow).cancel) == (1, "SIGTERM")
    with pytest.raises(TaskRevokedError, match="terminated"):
        slow.get(timeout=5)
    assert {(row.state, row.attempt, row.losses) for row in ended(*mates)} == {("succeeded", 0, 0)}
    assert lines(path) == ["start "]


def test_what_a_claim_holds_and_has_not_begun_does_not_begin(celery_worker_process, tmp_path):
    """A claim of great patience keeps its jobs behind the first body, which ends when the marks are on the board."""
    path, first_path = tmp_path / "notes", tmp_path / "first"
    first = until_cancelled.apply_async((str(first_path),), priority=9)
    revoked = [note.delay(str(path), f"revoked {n}") for n in range(5)]
    by_force = note.delay(str(path), "by force")
    kept = [note.delay(str(path), "kept") for _ in range(5)]
    env = settings_env(CELERIAC={"DATABASE": "default", "CLAIM_SECONDS": 30})
    celery_worker_process("tests.shop.celery", "-c", "1", env=env)
    wait_until(lambda: lines(first_path))
    assert {job(result).state for result in (*revoked, by_force, *kept)} == {"running"}
    app.control.revoke([result.id for result in revoked])
    by_force.revoke(terminate=True)
    first.revoke()
    assert {row.state for row in ended(*kept)} == {"succeeded"}
    rows = ended(*revoked, by_force)
    assert {(row.state, row.reason, row.attempt) for row in rows} == {("cancelled", "revoked", 0)}
    assert lines(path) == ["kept"] * 5
    assert state(first) == ("succeeded", "")


def test_the_job_of_a_worker_that_is_gone_ends_when_it_is_given_back(celery_worker_process, tmp_path):
    path = tmp_path / "notes"
    first = celery_worker_process("tests.shop.celery", "-c", "1")
    running = hold.delay(str(tmp_path / "gate"), str(path))
    wait_until(lambda: lines(path))
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    running.revoke()
    assert (job(running).state, job(running).cancel) == ("running", "ask")
    release(held_by(job(running).worker))
    Worker.objects.all().delete()
    celery_worker_process("tests.shop.celery", "-c", "1")
    assert state(running) == REVOKED
    assert lines(path) == ["start held"]


def test_on_threads_terminate_only_asks_and_the_worker_says_so_once(celery_worker_process, tmp_path):
    worker = celery_worker_process("tests.shop.celery", "-c", "2", "-P", "threads")
    for name in "ab":
        running = until_cancelled.delay(str(tmp_path / name))
        wait_until(lambda name=name: lines(tmp_path / name))
        running.revoke(terminate=True)
        assert running.get(timeout=10) == "stopped"
    assert worker.output.count("only the prefork pool can end a body") == 1
    assert noop.delay(1).get(timeout=10) == 1
    assert "a round failed" not in worker.output
