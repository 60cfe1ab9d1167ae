"""A mistake in the configuration ends the start with one sentence that says what to do."""

from __future__ import annotations

import json

import psycopg
import pytest
from celery import chord
from django.db import connection

from celeriac.errors import ConfigurationError, LedgerMissing, NotMigrated, UnknownSetting
from celeriac.ledger.models import Job
from tests.integration.looking import settings_env
from tests.shop.celery import app
from tests.shop.tasks import add, noop, total

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def refused(celery_worker_process):
    """Start a worker that must refuse; return what it said."""

    def start(env):
        worker = celery_worker_process("tests.shop.celery", "-c", "1", env=env, ready=None)
        assert worker.wait() != 0
        worker.end()
        assert " ready." not in worker.output
        return worker.output

    return start


def test_an_unknown_setting_ends_the_start(refused):
    said = refused(settings_env(CELERIAC={"POLL_SECOND": 1}))
    assert "CELERIAC holds the unknown setting 'POLL_SECOND'. Did you mean 'POLL_SECONDS'?" in said
    assert "Traceback" not in said


def test_a_missing_alias_ends_the_start(refused):
    said = refused(settings_env(CELERIAC={"DATABASE": "jobs"}))
    assert "CELERIAC['DATABASE'] is 'jobs', which is not in DATABASES" in said
    assert "Traceback" not in said


@pytest.fixture
def empty_database(postgres):
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE nothing_here")
        yield "nothing_here"
        connection.execute("DROP DATABASE nothing_here WITH (FORCE)")


def test_missing_tables_end_the_start(refused, empty_database, database_env):
    databases = json.loads(database_env["CELERIAC_TEST_DATABASES"])
    databases["default"]["NAME"] = empty_database
    said = refused({"CELERIAC_TEST_DATABASES": json.dumps(databases)})
    assert "Run: python manage.py migrate celeriac" in said
    assert "Traceback" not in said


def test_a_call_with_an_unknown_setting_says_so(settings):
    settings.CELERIAC = {"DATABSE": "default"}
    with pytest.raises(UnknownSetting, match="Did you mean 'DATABASE'"):
        noop.delay()


def test_a_call_with_a_setting_of_the_wrong_kind_says_so(settings):
    settings.CELERIAC = {"MAX_LOSSES": "three"}
    with pytest.raises(ConfigurationError, match="must be a number above 0, not 'three'"):
        noop.delay()


def test_a_call_with_a_missing_alias_says_so(settings):
    settings.CELERIAC = {"DATABASE": "jobs"}
    with pytest.raises(LedgerMissing, match="'jobs', which is not in DATABASES"):
        noop.delay()


def test_a_call_without_tables_says_what_to_run(empty_database, django_db_blocker):
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = empty_database
    try:
        with pytest.raises(NotMigrated, match=r"manage.py migrate celeriac"):
            noop.delay()
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before
    assert not Job.objects.exists()


def test_eager_calls_run_here_and_leave_no_row():
    app.conf.task_always_eager = True
    try:
        result = noop.delay({"any": 1})
        assert result.get() == {"any": 1}
        assert result.state == "SUCCESS"
    finally:
        app.conf.task_always_eager = False
    assert not Job.objects.exists()


def test_an_eager_canvas_runs_here_too():
    app.conf.task_always_eager = True
    try:
        assert (add.s(1, 2) | add.s(3)).apply_async().get() == 6
        assert chord([add.s(1, 1), add.s(2, 2)], total.s())().get() == 6
    finally:
        app.conf.task_always_eager = False
    assert not Job.objects.exists()
