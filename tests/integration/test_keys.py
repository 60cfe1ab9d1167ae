"""Keys, debounce, throttle and lanes, as a project asks for them: by the call, run by a real worker."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery import chain
from django.db import transaction

from celeriac.errors import JobExists
from celeriac.ledger.models import Job
from tests.integration.looking import ended, job, lines, settings_env, state
from tests.shop.celery import app
from tests.shop.keyed import by_key, exclaim, for_good, in_turn, later, rarely, replacing, strict
from tests.shop.tasks import noop

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


@pytest.fixture(scope="module")
def worker_env():
    return settings_env(CELERY_IMPORTS=["tests.shop.keyed"])


def test_calls_with_one_key_are_one_job():
    with transaction.atomic():
        first, second, other = by_key.delay(7), by_key.delay(7, "again"), by_key.delay(8)
    assert first.id == second.id != other.id
    assert [result.get(timeout=10) for result in (first, second, other)] == ["7 first", "7 first", "8 first"]
    assert Job.objects.filter(task=by_key.name).count() == 2


def test_a_key_is_free_when_its_job_has_ended():
    first = by_key.delay(7)
    first.get(timeout=10)
    assert by_key.delay(7).id != first.id


def test_a_key_that_is_held_for_ever_answers_with_what_was():
    first = for_good.delay(7)
    assert first.get(timeout=10) == 7
    again = for_good.delay(7)
    assert (again.id, again.get(timeout=10)) == (first.id, 7)


def test_a_retry_keeps_the_key_and_is_no_conflict_with_itself():
    first = strict.delay(7)
    assert first.get(timeout=10) == 1
    assert job(first).attempt == 1


def test_a_conflict_may_raise():
    with transaction.atomic():
        first = strict.apply_async((7,), countdown=60)
        with pytest.raises(JobExists) as refused:
            strict.delay(7)
    assert refused.value.task_id == first.id
    first.revoke()


def test_a_conflict_may_replace_what_is_pending():
    with transaction.atomic():
        first = replacing.delay(7, "first")
        second = replacing.delay(7, "second")
    assert first.id == second.id
    assert second.get(timeout=10) == "second"


def test_debounce_runs_the_last_of_several_calls_once():
    results = [later.delay(7, text) for text in ("a", "b", "c")]
    assert len({result.id for result in results}) == 1
    assert results[0].get(timeout=10) == "c"
    assert Job.objects.filter(task=later.name).count() == 1
    row = job(results[0])
    assert (row.started_at - row.created_at).total_seconds() >= 0.3


def test_a_throttle_lets_so_many_through():
    results = [rarely.delay(n) for n in range(5)]
    assert len({result.id for result in results}) == 2
    assert ended(*results[:2])[0].state == "succeeded"
    assert rarely.delay(9).id in {result.id for result in results}


def test_jobs_of_a_lane_run_one_after_the_other_in_order(tmp_path):
    path = tmp_path / "notes"
    results = [in_turn.delay(user, str(path), n) for n in range(4) for user in ("ada", "bob")]
    ended(*results)
    noted = [line.split() for line in lines(path)]
    for user in ("ada", "bob"):
        mine = [(what, int(n)) for who, what, n in noted if who == user]
        assert mine == [(what, n) for n in range(4) for what in ("start", "end")]


def test_the_next_in_a_lane_does_not_wait_for_a_poll(tmp_path):
    """Eight in a row: by polls of a second it would be eight seconds."""
    results = [in_turn.delay("ada", str(tmp_path / "notes"), n) for n in range(8)]
    rows = ended(*results)
    assert (rows[-1].finished_at - rows[0].created_at).total_seconds() < 5


def test_a_call_may_name_a_key_by_itself():
    first = noop.apply_async((1,), countdown=60, idempotency_key="once")
    assert noop.apply_async((2,), idempotency_key="once").id == first.id
    assert app.send_task(noop.name, (3,), idempotency_key="once").id == first.id
    assert noop.apply_async((4,)).id != first.id
    first.revoke()


def test_many_at_once_have_their_keys():
    results = app.enqueue_many([by_key.s(n % 3) for n in range(9)])
    assert [result.id for result in results] == [result.id for result in results[:3]] * 3
    assert [result.get(timeout=10) for result in results[:3]] == ["0 first", "1 first", "2 first"]


def test_a_chain_goes_on_where_another_job_stands_for_its_step():
    """The step's id was promised; a job of that id ends as the holder of the key does."""
    holder = by_key.apply_async((7,), countdown=0.5)
    result = chain(by_key.si(7), exclaim.s())()
    assert result.get(timeout=10) == "7 first!"
    assert job(result.parent).task == "celeriac.same_as"
    assert state(holder) == ("succeeded", "")


def test_a_key_of_a_rolled_back_call_is_free():
    with transaction.atomic():
        by_key.delay(7)
        transaction.set_rollback(True)
    assert by_key.delay(7).get(timeout=10) == "7 first"


def test_the_scope_may_be_a_time():
    first = noop.apply_async((1,), idempotency_key="hourly", idempotency_scope=timedelta(hours=1))
    first.get(timeout=10)
    assert noop.apply_async((1,), idempotency_key="hourly", idempotency_scope=timedelta(hours=1)).id == first.id
    Job.objects.filter(id=first.id).update(held_until=job(first).created_at)
    assert noop.apply_async((1,), idempotency_key="hourly", idempotency_scope=timedelta(hours=1)).id != first.id


def test_eagerly_nothing_is_kept_and_nothing_refused():
    assert by_key.apply((7,)).get() == "7 first"
