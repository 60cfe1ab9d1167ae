"""`AsyncResult` over the ledger: what a caller learns of a job, and when."""

from __future__ import annotations

import time
from decimal import Decimal
from statistics import median
from uuid import UUID

import pytest
from celery.exceptions import TimeoutError as CeleryTimeout
from celery.result import AsyncResult
from django.utils import timezone

from celeriac.ledger.models import Job
from tests.integration.looking import attempts, elsewhere, ended, job, row_id, started, state
from tests.shop.celery import app
from tests.shop.tasks import add, fail, flaky, hold, noop, progress, repeat, spawn, together, unencodable
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


def test_a_success_is_told():
    result = add.delay(2, 3)
    assert result.get(timeout=10) == 5
    assert (result.state, result.result, result.successful(), result.failed()) == ("SUCCESS", 5, True, False)
    assert result.ready()
    assert result.traceback is None
    assert result.date_done is not None


def test_a_failure_comes_back_as_its_own_class():
    result = fail.delay("broken")
    with pytest.raises(ValueError, match=r"^broken$"):
        result.get(timeout=10)
    assert (result.state, result.successful(), result.failed()) == ("FAILURE", False, True)
    assert isinstance(result.result, ValueError)
    assert "raise ValueError(message)" in result.traceback
    assert result.get(propagate=False).args == ("broken",)


def test_a_stranger_finds_the_result_by_its_id():
    result = add.delay(2, 3)
    assert AsyncResult(result.id, app=app).get(timeout=10) == 5
    assert add.AsyncResult(result.id).name == add.name


def test_a_failed_job_keeps_one_attempt_with_its_story():
    result = fail.delay("broken")
    assert state(result) == ("dead", "failed")
    (attempt,) = attempts(result)
    assert (attempt.number, attempt.kind, attempt.exception, attempt.message) == (1, "failed", "ValueError", "broken")
    assert "Traceback" in attempt.traceback
    assert job(result).attempt == 1


def test_values_come_back_as_they_went_in():
    moment = timezone.now()
    values = [
        *(Decimal("1.10"), UUID(int=7), moment, moment.date(), {1, 2}, (1, (2, 3)), b"\0\xff", "n\0ul", "\ud800"),
        {"nested": [{"uuid": UUID(int=8)}, (Decimal(0),)], "": None},
    ]
    assert together.delay(*values, word="ü", value={3: "int key"}).get(timeout=10) == [
        values,
        {"word": "ü", "value": {3: "int key"}},
    ]


def test_a_job_unknown_to_the_ledger_is_pending():
    assert AsyncResult("never heard of", app=app).state == "PENDING"


def test_the_states_on_the_way(tmp_path):
    gate = tmp_path / "gate"
    waiting = noop.apply_async(countdown=60)
    running = hold.delay(str(gate))
    started(running)
    assert (waiting.state, running.state) == ("PENDING", "STARTED")
    again = flaky.apply_async((1,))
    gate.touch()
    assert running.get(timeout=10) == "held"
    assert again.get(timeout=10) == 1


def test_get_gives_up_in_time(tmp_path):
    result = hold.delay(str(tmp_path / "gate"))
    before = time.monotonic()
    with pytest.raises(CeleryTimeout):
        result.get(timeout=0.3)
    assert 0.3 <= time.monotonic() - before < 1
    (tmp_path / "gate").touch()
    assert result.get(timeout=10) == "held"


def test_get_wakes_long_before_its_poll():
    noop.delay().get(timeout=10)

    def seconds():
        before = time.monotonic()
        noop.delay().get(timeout=10)
        return time.monotonic() - before

    assert median(seconds() for _ in range(10)) < 0.5


def test_many_waiters_are_all_woken(tmp_path):
    results = [noop.delay(number) for number in range(50)]
    assert [elsewhere(lambda r=r: r.get(timeout=10)) for r in results] == list(range(50))


def test_a_forgotten_success_is_gone_and_a_dead_job_stays():
    result, dead = add.delay(1, 1), fail.delay()
    result.get(timeout=10)
    ended(dead)
    result.forget()
    dead.forget()
    assert AsyncResult(result.id, app=app).state == "PENDING"
    assert not Job.objects.filter(id=result.id).exists()
    assert AsyncResult(dead.id, app=app).state == "FAILURE"


def test_a_result_that_cannot_be_encoded_is_a_death_with_that_reason():
    result = unencodable.delay()
    assert state(result) == ("dead", "unencodable")
    with pytest.raises(Exception, match="unencodable"):
        result.get(timeout=10)
    assert "unencodable" in attempts(result)[0].message


def test_a_result_too_large_is_a_death_with_that_reason():
    result = noop.delay("x" * 200_000)
    assert len(result.get(timeout=10)) == 200_000
    repeated = repeat.delay("x", 300_000)
    assert state(repeated) == ("dead", "unencodable")
    assert "MAX_PAYLOAD_BYTES" in attempts(repeated)[0].message


def test_progress_is_seen_while_the_job_runs(tmp_path):
    result = progress.delay(str(tmp_path / "gate"))
    wait_until(lambda: result.state == "PROGRESS")
    assert result.info == {"done": 3, "of": 7}
    (tmp_path / "gate").touch()
    assert result.get(timeout=10) == "held"
    assert job(result).progress is None


def test_children_and_parents_are_known():
    result = spawn.delay()
    ids = result.get(timeout=10)
    again = AsyncResult(result.id, app=app)
    assert [child.id for child in again.children] == ids
    assert [child.get(timeout=10) for child in again.children] == [1, 2]
    assert [value for _, value in again.collect(timeout=10)] == [ids, 1, 2]


def test_a_call_inside_a_task_knows_where_it_came_from():
    result = spawn.delay()
    child = Job.objects.get(id=row_id(result.get(timeout=10)[0]))
    assert f'"parent_id":"{result.id}"' in child.headers
    assert f'"root_id":"{result.id}"' in child.headers
