"""The same engine on SQLite, where nobody can notify and one writes at a time."""

from __future__ import annotations

import pytest
from celery import chord, group
from django.db import transaction

from celeriac.ledger.models import Job
from tests.integration.looking import attempts, ended, job, lines, started
from tests.shop.celery import app
from tests.shop.tasks import add, fail, flaky, hold, noop, note, replace, total, until_cancelled
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["lite"]),
    pytest.mark.usefixtures("lite", "worker"),
]


@pytest.fixture(scope="module")
def worker_env():
    return {"CELERIAC_TEST_LEDGER": "lite"}


def test_a_job_runs_and_its_result_comes_back():
    assert add.delay(1, 2).get(timeout=10) == 3


def test_a_failure_comes_back_as_its_class():
    result = fail.delay("broken")
    with pytest.raises(ValueError, match="broken"):
        result.get(timeout=10)
    assert attempts(result, "lite")[0].message == "broken"


def test_a_rolled_back_job_never_was(tmp_path):
    with transaction.atomic(using="lite"):
        note.delay(str(tmp_path / "notes"), "undone")
        transaction.set_rollback(True, using="lite")
    with transaction.atomic(using="lite"):
        kept = note.delay(str(tmp_path / "notes"), "kept")
    ended(kept, alias="lite")
    assert lines(tmp_path / "notes") == ["kept"]
    assert Job.objects.using("lite").count() == 1


def test_canvas_runs_to_its_end():
    assert (add.s(1, 2) | add.s(3)).apply_async().get(timeout=10) == 6
    assert group(add.s(n, n) for n in range(5)).apply_async().get(timeout=10) == [0, 2, 4, 6, 8]
    assert chord([noop.s(n) for n in range(20)], total.s())().get(timeout=10) == 190
    assert replace.delay("chord").get(timeout=10) == 6


def test_retries_and_countdowns():
    result, later = flaky.delay(1), noop.apply_async((1,), countdown=0.3)
    assert result.get(timeout=10) == 1
    assert job(result, "lite").attempt == 1
    assert later.get(timeout=10) == 1
    gone = noop.apply_async(countdown=0.5, expires=0.1)
    assert ended(gone, alias="lite")[0].reason == "expired"


def test_the_most_urgent_runs_first(tmp_path):
    path, gate, other = str(tmp_path / "notes"), tmp_path / "gate", tmp_path / "other"
    for result in [hold.delay(str(gate)), hold.delay(str(other))]:
        started(result, "lite")
    results = [note.apply_async((path, priority), priority=priority) for priority in (0, 9, 5)]
    gate.touch()
    ended(*results, alias="lite")
    assert lines(path) == ["9", "5", "0"]
    other.touch()


def test_many_jobs_from_one_call():
    results = app.enqueue_many(noop.s(n) for n in range(1500))
    assert {row.state for row in ended(*results, alias="lite", timeout=30)} == {"succeeded"}


def test_a_warm_shutdown_leaves_nothing_running(celery_worker_process, tmp_path):
    import signal

    second = celery_worker_process("tests.shop.celery", "-c", "2", "-n", "two@%h", env={"CELERIAC_TEST_LEDGER": "lite"})
    results = [noop.delay(n) for n in range(200)]
    second.send(signal.SIGTERM)
    assert second.wait() == 0
    assert {row.state for row in ended(*results, alias="lite", timeout=30)} == {"succeeded"}
    assert {row.attempt for row in ended(*results, alias="lite")} == {0}
    wait_until(lambda: not Job.objects.using("lite").filter(state="running").exists())


def test_what_runs_and_what_rests_is_revoked(tmp_path):
    running, later = until_cancelled.delay(str(tmp_path / "notes")), noop.apply_async(countdown=3600)
    wait_until(lambda: lines(tmp_path / "notes"))
    later.revoke()
    running.revoke()
    assert job(later, "lite").state == "cancelled"
    assert running.get(timeout=10) == "stopped"
