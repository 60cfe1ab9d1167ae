"""The calling options mean in a row what they mean in a message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from celeriac.ledger.models import Job
from tests.integration.looking import attempts, ended, job, lines, started, state
from tests.shop.celery import app
from tests.shop.tasks import fail, full_request, hold, noop, note, request, routed, sleep, soft_limited
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


UUID_TEXT = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


@pytest.mark.parametrize("task_id", [UUID_TEXT, "invoice-7", "RECHNUNG ü", UUID_TEXT.upper(), "x" * 200])
def test_a_task_id_is_what_the_caller_said(task_id):
    result = request.apply_async(task_id=task_id)
    assert result.id == task_id
    assert result.get(timeout=10)["id"] == task_id
    assert app.AsyncResult(task_id).state == "SUCCESS"


def test_a_task_id_used_twice_is_one_job(tmp_path):
    path = tmp_path / "notes"
    for text in ("first", "second"):
        note.apply_async((str(path), text), task_id="once")
    ended("once", noop.delay())
    assert lines(path) == ["first"]
    assert Job.objects.filter(task=note.name).count() == 1


@pytest.mark.parametrize("countdown", [0.3, timedelta(seconds=0.3)], ids=["seconds", "timedelta"])
def test_a_countdown_is_waited_for(countdown):
    result = noop.apply_async(countdown=countdown)
    assert job(result).state == "scheduled"
    assert result.state == "PENDING"
    row = ended(result)[0]
    assert 0.3 <= (row.started_at - row.created_at).total_seconds() < 2


def test_a_countdown_keeps_nobody_waiting():
    later = noop.apply_async(countdown=3600)
    assert noop.delay("now").get(timeout=10) == "now"
    assert job(later).state == "scheduled"


@pytest.mark.parametrize(
    "moment",
    [
        lambda: timezone.localtime() + timedelta(seconds=0.4),
        lambda: datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=0.4),
        lambda: (timezone.now() + timedelta(seconds=0.4)).astimezone(timezone.get_fixed_timezone(-420)),
        lambda: str(timezone.now() + timedelta(seconds=0.4)),
    ],
    ids=["aware", "naive", "of another zone", "text"],
)
def test_an_eta_is_waited_for(moment):
    eta = moment()
    result = noop.apply_async(eta=eta)
    assert job(result).state == "scheduled"
    row = ended(result)[0]
    due = datetime.fromisoformat(eta) if isinstance(eta, str) else eta
    due = due if due.tzinfo else due.replace(tzinfo=UTC)
    assert timedelta(0) <= row.started_at - due < timedelta(seconds=2)


def test_an_eta_that_has_passed_runs_at_once():
    assert noop.apply_async((5,), eta=timezone.now() - timedelta(days=1)).get(timeout=10) == 5


@pytest.mark.parametrize(
    "expires",
    [0.05, timedelta(seconds=0.05), lambda: timezone.now() - timedelta(seconds=1)],
    ids=["seconds", "timedelta", "a moment gone"],
)
def test_a_job_that_expires_before_its_turn_is_cancelled(expires, tmp_path):
    path = tmp_path / "notes"
    expires = expires() if callable(expires) else expires
    result = note.apply_async((str(path), "late"), countdown=0.4, expires=expires)
    assert state(result) == ("cancelled", "expired")
    assert result.state == "REVOKED"
    ended(noop.apply_async(countdown=0.5))
    assert lines(path) == []


def test_a_job_that_runs_before_it_expires_succeeds():
    result = noop.apply_async((1,), expires=60)
    assert result.get(timeout=10) == 1
    later = noop.apply_async((2,), expires=timezone.now() + timedelta(hours=1))
    assert later.get(timeout=10) == 2


def test_a_queue_of_the_call_and_of_the_routes_is_kept_for_whoever_consumes_it(celery_worker_process):
    called, by_route = noop.apply_async(queue="letters"), routed.delay("x")
    wins = routed.apply_async(queue="letters")
    ended(noop.delay())
    assert [job(r).queue for r in (called, by_route, wins)] == ["letters", "parcels", "letters"]
    assert {job(r).state for r in (called, by_route, wins)} == {"ready"}
    celery_worker_process("tests.shop.celery", "-c", "1", "-P", "solo", "-Q", "letters,parcels", "-n", "post@%h")
    assert {row.state for row in ended(called, by_route, wins)} == {"succeeded"}


def test_the_most_urgent_runs_first(tmp_path):
    path, gate, other = str(tmp_path / "notes"), tmp_path / "gate", tmp_path / "other"
    for result in [hold.delay(str(gate)), hold.delay(str(other))]:  # the other slot stays busy
        started(result)
    results = [note.apply_async((path, priority), priority=priority) for priority in (0, 5, 9, 1, None, 7)]
    gate.touch()
    assert [row.priority for row in ended(*results)] == [0, 5, 9, 1, 0, 7]
    assert lines(path) == ["9", "7", "5", "1", "0", "None"]
    other.touch()


@pytest.mark.parametrize("priority", [10, -1, "high"])
def test_a_priority_that_is_none_is_refused(priority):
    with pytest.raises(ValueError, match="0 to 9"):
        noop.apply_async(priority=priority)


def test_headers_arrive_as_headers_and_as_attributes():
    seen = request.apply_async(headers={"tenant": "acme", "trace": {"id": 7}}).get(timeout=10)
    assert seen["tenant"] == "acme"
    assert {"tenant": "acme", "trace": {"id": 7}}.items() <= seen["headers"].items()


def test_a_hard_limit_ends_the_job_and_no_other():
    slow = sleep.apply_async((30,), time_limit=0.5)
    others = [noop.delay(number) for number in range(20)]
    assert state(slow) == ("dead", "timeout")
    assert [row.state for row in ended(*others)] == ["succeeded"] * 20
    assert [row.attempt for row in ended(*others)] == [0] * 20
    assert slow.state == "FAILURE"
    assert type(slow.result).__name__ == "TimeLimitExceeded"
    assert [a.kind for a in attempts(slow)] == ["timeout"]


def test_a_hard_limit_spares_its_claim_mates(tmp_path):
    gate = tmp_path / "gate"
    holding = [hold.delay(str(gate)) for _ in range(2)]
    for result in holding:
        started(result)
    results = [sleep.apply_async((30,), time_limit=0.5, priority=9)]
    results += [noop.apply_async((number,), time_limit=0.5) for number in range(10)]
    gate.touch()
    rows = ended(*results, *holding)
    assert [row.state for row in rows] == ["dead"] + ["succeeded"] * 12


def test_a_soft_limit_is_raised_in_the_body():
    assert soft_limited.apply_async(soft_time_limit=0.3).get(timeout=15) == "cleaned up"


def test_a_soft_limit_nobody_catches_is_a_timeout():
    slow = sleep.apply_async((30,), soft_time_limit=0.3)
    assert state(slow) == ("dead", "timeout")
    assert type(slow.result).__name__ == "SoftTimeLimitExceeded"


def test_an_ignored_result_is_not_kept_but_the_state_is():
    result = noop.apply_async((1,), ignore_result=True)
    row = ended(result)[0]
    assert (row.state, row.result) == ("succeeded", None)
    assert app.AsyncResult(result.id).state == "SUCCESS"
    assert app.AsyncResult(result.id).result is None


def test_an_ignored_result_still_tells_of_a_failure():
    result = fail.apply_async(("broken",), ignore_result=True)
    assert state(result) == ("dead", "failed")
    assert attempts(result)[0].message == "broken"


def test_shadow_and_argsrepr_reach_the_request():
    seen = full_request.apply_async(shadow="another name", argsrepr="(secret)").get(timeout=10)
    assert seen["shadow"] == "another name"
    assert seen["argsrepr"] == "(secret)"


def test_time_limits_reach_the_request():
    assert full_request.apply_async(time_limit=30, soft_time_limit=20).get(timeout=10)["timelimit"] == [30, 20]


def test_the_shadow_is_what_the_log_says(worker):
    noop.apply_async(shadow="noop in disguise").get(timeout=10)
    assert wait_until(lambda: "noop in disguise" in worker.output)
