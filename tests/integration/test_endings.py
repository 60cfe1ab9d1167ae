"""Each way a body may end, and what becomes of its job."""

from __future__ import annotations

import signal

import pytest
from celery.exceptions import MaxRetriesExceededError

from tests.integration.looking import attempts, ended, job, lines, state
from tests.shop.celery import app
from tests.shop.tasks import (
    back_off,
    flaky,
    ignore,
    kill,
    leave,
    noop,
    raise_retry,
    reject,
    retry_changed,
    retry_for_ever,
    retry_without_cause,
    say_failure,
)
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


def test_autoretry_backs_off_and_succeeds(tmp_path):
    path = tmp_path / "notes"
    result, slower = flaky.delay(2, str(path)), back_off.delay(2)
    assert result.get(timeout=10) == 2
    assert lines(path) == ["0", "1", "2"]
    row = job(result)
    assert (row.state, row.attempt, row.claim_no) == ("succeeded", 2, 3)
    tries = attempts(result)
    assert [(a.number, a.kind, a.exception) for a in tries] == [
        (1, "retry", "ConnectionError"),
        (2, "retry", "ConnectionError"),
    ]
    assert [a.message for a in tries] == ["attempt 0", "attempt 1"]
    row, tries = ended(slower)[0], attempts(slower)
    assert 0.9 <= (tries[1].started_at - tries[0].finished_at).total_seconds() < 1.9
    assert 1.9 <= (row.started_at - tries[1].finished_at).total_seconds() < 3.9


def test_a_task_out_of_retries_dies_with_its_own_exception():
    result = flaky.delay(99)
    assert state(result) == ("dead", "exhausted")
    with pytest.raises(ConnectionError, match="attempt 2"):
        result.get(timeout=10)
    assert [(a.number, a.kind) for a in attempts(result)] == [(1, "retry"), (2, "retry"), (3, "failed")]
    assert job(result).attempt == 3


def test_retry_with_a_cause_dies_with_it(tmp_path):
    path = tmp_path / "notes"
    result = retry_for_ever.delay(str(path))
    assert state(result) == ("dead", "exhausted")
    assert isinstance(result.result, KeyError)
    assert lines(path) == ["0", "1", "2"]
    assert [a.exception for a in attempts(result)] == ["KeyError"] * 3


def test_retry_without_a_cause_dies_of_too_many():
    result = retry_without_cause.delay()
    assert state(result) == ("dead", "exhausted")
    with pytest.raises(MaxRetriesExceededError):
        result.get(timeout=10)


def test_a_retry_may_change_arguments():
    assert retry_changed.delay(1).get(timeout=10) == [2, "second", 1, "celery"]


def test_a_retry_may_change_the_queue(celery_worker_process):
    result = retry_changed.delay(1, queue="letters")
    celery_worker_process("tests.shop.celery", "-P", "solo", "-Q", "letters", "-n", "letters@%h")
    assert result.get(timeout=10) == [2, "second", 1, "letters"]
    assert job(result).queue == "letters"


def test_a_retry_raised_by_hand_is_a_retry():
    result = raise_retry.delay()
    assert result.get(timeout=10) == 1
    assert job(result).attempt == 1


def test_the_state_between_two_attempts_is_retry():
    result = app.tasks["tests.shop.tasks.retry_later"].delay()
    wait_until(lambda: result.state == "RETRY")
    assert job(result).state == "scheduled"
    assert isinstance(result.info, Exception) or result.info is None


def test_a_rejected_job_is_dead(tmp_path):
    path = tmp_path / "notes"
    result = reject.delay(str(path), requeue=False)
    assert state(result) == ("dead", "rejected")
    assert lines(path) == ["run"]
    assert result.state == "FAILURE"


def test_a_requeued_job_runs_again_and_is_not_charged(tmp_path):
    path = tmp_path / "notes"
    result = reject.delay(str(path), requeue=True)
    assert result.get(timeout=10) == "taken"
    assert job(result).attempt == 0
    assert attempts(result) == []


def test_an_ignored_job_ends_and_frees_its_slot():
    result = ignore.delay()
    assert state(result) == ("succeeded", "ignored")
    assert job(result).result is None


def test_a_failure_said_before_ignore_is_kept():
    result = say_failure.delay({"exc_type": "ValueError", "exc_message": ["custom"], "exc_module": "builtins"})
    assert state(result) == ("dead", "failed")
    with pytest.raises(ValueError, match="custom"):
        result.get(timeout=10)


@pytest.mark.parametrize(("how", "kind"), [("sys.exit", "SystemExit"), ("MemoryError", "MemoryError")])
def test_a_body_that_leaves_does_not_take_the_worker_along(how, kind, worker):
    result = leave.delay(how)
    assert state(result) == ("dead", "failed")
    assert attempts(result)[0].exception == kind
    assert [noop.delay(n).get(timeout=10) for n in range(4)] == [0, 1, 2, 3]
    assert worker.process.poll() is None
    assert job(result).losses == 0


def test_a_process_that_dies_costs_only_the_job_it_ran(tmp_path):
    path = tmp_path / "notes"
    deadly = [leave.delay("os._exit", str(path)), kill.delay(int(signal.SIGKILL))]
    others = [noop.delay(n) for n in range(50)]
    wait_until(lambda: all(job(result).losses == 1 for result in deadly))
    assert [job(result).attempt for result in deadly] == [1, 1]
    assert {(row.state, row.attempt, row.losses) for row in ended(*others)} == {("succeeded", 0, 0)}
    rows = ended(*deadly)
    assert [(row.state, row.reason, row.losses, row.attempt) for row in rows] == [("dead", "lost", 3, 3)] * 2
    assert lines(path) == ["run"] * 3
    assert [[a.kind for a in attempts(result)] for result in deadly] == [["lost"] * 3] * 2
    assert [result.state for result in deadly] == ["FAILURE", "FAILURE"]
