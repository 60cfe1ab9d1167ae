"""Time limits are a job's, whatever claim it is in, and a hung body holds nobody else."""

from __future__ import annotations

import signal

import pytest

from celeriac.ledger.models import Worker
from tests.integration.looking import attempts, ended, job, lines, settings_env
from tests.shop.celery import app
from tests.shop.tasks import greedy, hog, kill_loudly, noop, note, sleep, soft_limited
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SHOP = "tests.shop.celery"


@pytest.fixture
def one_slot(celery_worker_process):
    return celery_worker_process(SHOP, "-c", "1", env=settings_env(CELERIAC={"DEFAULT_TIME_LIMIT": 1.0}))


def test_a_soft_limit_is_kept_from_the_start_of_the_body(one_slot):
    results = app.enqueue_many(
        [*(sleep.s(0.03) for _ in range(6)), soft_limited.s().set(soft_time_limit=0.3), sleep.s(0.1)]
    )
    *others, limited, last = ended(*results)
    assert limited.result == '"cleaned up"'
    assert 0.28 < (limited.finished_at - limited.started_at).total_seconds() < 0.6
    assert {(row.state, row.attempt) for row in (*others, last)} == {("succeeded", 0)}


def test_a_body_that_ignores_its_soft_limit_meets_the_hard_one(one_slot, tmp_path):
    hung, *mates = app.enqueue_many(
        [
            greedy.s(str(tmp_path / "heard")).set(soft_time_limit=0.2, time_limit=0.6, priority=9),
            *(noop.s(n) for n in range(20)),
        ]
    )
    row, *others = ended(hung, *mates)
    assert (row.state, row.reason, row.attempt, row.losses) == ("dead", "timeout", 1, 0)
    assert lines(tmp_path / "heard") == ["SoftTimeLimitExceeded"]
    assert "TimeLimitExceeded" in attempts(hung)[0].exception
    assert {(other.state, other.attempt) for other in others} == {("succeeded", 0)}


def test_the_project_s_default_limits_what_names_none(one_slot):
    [row] = ended(sleep.delay(30))
    assert (row.state, row.reason) == ("dead", "timeout")
    assert "TimeLimitExceeded(1.0" in attempts(row.id)[0].message or "1.0" in attempts(row.id)[0].message


def test_a_body_that_keeps_pythons_lock_does_not_keep_its_claim_mates(celery_worker_process, tmp_path):
    celery_worker_process(SHOP, "-c", "2")
    ended(*app.enqueue_many(noop.s(n) for n in range(50)))  # quick ones: the next claims are large
    stuck, *mates = app.enqueue_many(
        [hog.s().set(time_limit=4, priority=9), *(note.s(str(tmp_path / "notes"), n) for n in range(60))]
    )
    wait_until(lambda: len(lines(tmp_path / "notes")) == 60, 3.5)
    assert job(stuck).state == "running"
    row, *others = ended(stuck, *mates)
    assert (row.state, row.reason) == ("dead", "timeout")
    assert {(other.state, other.attempt) for other in others} == {("succeeded", 0)}
    assert sorted(map(int, lines(tmp_path / "notes"))) == list(range(60))


def test_threads_cannot_enforce_a_limit_and_say_so(celery_worker_process):
    env = settings_env(CELERIAC={"HEARTBEAT_SECONDS": 0.4})
    worker = celery_worker_process(SHOP, "-P", "threads", "-c", "2", env=env)
    result = sleep.apply_async((3,), time_limit=0.3)
    worker.wait_for("its slot is stuck")
    wait_until(lambda: Worker.objects.filter(stuck__contains=result.id).exists())
    [row] = ended(result)
    assert row.state == "succeeded"
    wait_until(lambda: Worker.objects.filter(stuck="[]").exists())


def test_a_poison_pill_dies_with_the_evidence(celery_worker_process, tmp_path):
    celery_worker_process(SHOP, "-c", "2", env=settings_env(CELERIAC={"HEARTBEAT_SECONDS": 0.2, "MAX_LOSSES": 2}))
    pill = kill_loudly.apply_async((int(signal.SIGSEGV), "about to divide by zero"), priority=9)
    neighbours = [note.delay(str(tmp_path / "notes"), n) for n in range(200)]
    row, *others = ended(pill, *neighbours)
    assert (row.state, row.reason, row.losses) == ("dead", "lost", 2)
    assert {(other.state, other.attempt) for other in others} == {("succeeded", 0)}
    told = attempts(pill)[-1]
    assert "SIGSEGV" in told.message
    for piece in ("Process ", "Resident memory: ", "about to divide by zero"):
        assert piece in told.traceback
