"""A connection is kept for a claim, and beyond it as CONN_MAX_AGE says; none is handed on in a state."""

from __future__ import annotations

import json

import pytest
from django.db import connection, connections, transaction

from celeriac.api.context import Run, running
from celeriac.worker import connections as care
from celeriac.worker.fixup import WorkerFixup
from tests.integration.looking import elsewhere, ended, settings_env
from tests.shop.atomic import session
from tests.shop.celery import app
from tests.shop.models import Customer
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
ATOMIC = settings_env(CELERY_IMPORTS=["tests.shop.atomic"])


@pytest.fixture
def start(celery_worker_process, database_env):
    def start(age, *args):
        databases = json.loads(database_env["CELERIAC_TEST_DATABASES"])
        databases["default"]["CONN_MAX_AGE"] = age
        env = ATOMIC | {"CELERIAC_TEST_DATABASES": json.dumps(databases)}
        return celery_worker_process("tests.shop.celery", "-c", "1", *args, env=env)

    return start


def sessions(*results) -> list[int]:
    return [int(row.result) for row in ended(*results)]


def is_open(pid: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid])
        return cursor.fetchone()[0] == 1


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_one_that_may_stay_is_kept_from_claim_to_claim(pool, start):
    start(None, "-P", pool)
    first = session.delay().get(timeout=10)
    rest = app.enqueue_many(session.s() for _ in range(20))
    assert set(sessions(*rest)) == {first}
    assert is_open(first)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_one_that_may_not_is_closed_after_its_claim(pool, start):
    start(0, "-P", pool)
    results = app.enqueue_many(session.s() for _ in range(20))
    used = set(sessions(*results))
    assert len(used) < 20
    wait_until(lambda: not any(is_open(pid) for pid in used))


@pytest.mark.parametrize("state", ["in a transaction", "out of autocommit", "broken"])
def test_a_state_is_not_left_to_the_next_body(state, start):
    start(None)
    left, after = app.enqueue_many([session.s(state), session.s()])
    [one, two] = sessions(left, after)
    assert one != two
    wait_until(lambda: not is_open(one))
    assert not Customer.objects.exists()


def test_one_that_died_between_two_claims_is_not_met_by_a_body(start):
    start(None)
    first = session.delay().get(timeout=10)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [first])
    wait_until(lambda: not is_open(first))
    second = session.delay().get(timeout=10)
    assert second != first


# -- the parts


def test_a_transaction_that_nobody_will_leave_is_dropped_with_its_connection():
    def leave_one():
        left = connections["default"]
        transaction.atomic().__enter__()
        Customer.objects.create(name="left", email="")
        care.tidy()
        assert connections["default"] is not left
        assert not connections["default"].in_atomic_block
        assert not Customer.objects.exists()

    elsewhere(leave_one)


def test_those_of_this_thread_are_looked_up_once_and_again_after_one_was_dropped():
    def leave_two():
        connections.all()  # each is there, if not open
        care.refresh()
        for _ in range(2):
            left = connections["default"]
            transaction.atomic().__enter__()
            Customer.objects.create(name="left", email="")
            care.tidy()
            assert connections["default"] is not left
        assert not Customer.objects.exists()

    elsewhere(leave_two)


def test_a_sound_connection_is_left_alone():
    connection.ensure_connection()
    before = connection.connection
    care.tidy()
    assert connection.connection is before


def test_a_task_that_came_by_the_broker_is_treated_as_celery_does(monkeypatch):
    fixup = WorkerFixup(app)
    closed = []
    monkeypatch.setattr(fixup, "close_database", lambda **_: closed.append("database"))
    monkeypatch.setattr(fixup, "close_cache", lambda: closed.append("cache"))
    token = running.set(Run("1", None))
    try:
        fixup.on_task_prerun(session)
        fixup.on_task_postrun(session)
    finally:
        running.reset(token)
    assert closed == []
    fixup.on_task_prerun(session)
    fixup.on_task_postrun(session)
    assert closed == ["database", "database", "cache"]


def test_the_app_has_our_fixup():
    [fixed] = app._fixups
    assert isinstance(fixed.worker_fixup, WorkerFixup)
