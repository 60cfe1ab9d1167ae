"""The harness keeps its own promises, or every other test lies."""

from __future__ import annotations

import json

import pytest
from django.db import connections

from tests.shop.models import Customer
from tests.waiting import wait_until
from tests.workers import Worker


@pytest.mark.django_db(transaction=True)
def test_each_database_is_a_test_database_and_commits(ledger_alias, database_env):
    Customer.objects.using(ledger_alias).create(name="Ada", email="ada@example.com")
    connection = connections[ledger_alias]
    assert not connection.in_atomic_block
    assert "test" in str(connection.settings_dict["NAME"])
    # What a worker process is told is where this process is.
    told = json.loads(database_env["CELERIAC_TEST_DATABASES"])[ledger_alias]
    assert told["NAME"] == connection.settings_dict["NAME"]


@pytest.mark.django_db(databases=["lite"])
def test_sqlite_is_a_file_in_wal_mode():
    with connections["lite"].cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        assert cursor.fetchone() == ("wal",)


@pytest.mark.django_db
def test_postgresql_is_reached_outside_django(pg_dsn):
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(pg_dsn) as connection:
        assert connection.info.dbname == connections["default"].settings_dict["NAME"]


def test_valkey_answers(valkey_url):
    redis = pytest.importorskip("redis")
    with redis.Redis.from_url(valkey_url) as client:
        assert client.ping()


def test_a_worker_that_does_not_start_fails_at_once_with_its_log(tmp_path):
    worker = Worker("tests.no_such_app", env={}, log=tmp_path / "log")
    try:
        with pytest.raises(AssertionError, match=r"ended before it said(?s:.*)no_such_app"):
            worker.wait_for("ready.")
    finally:
        assert worker.end() != 0


def test_wait_until_says_what_it_saw():
    with pytest.raises(AssertionError, match="was still 0"):
        wait_until(lambda: 0, timeout=0)
