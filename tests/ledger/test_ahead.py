"""The jobs of a claim are told before it is committed, and its commit is waited for."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, OperationalError, connections, transaction

from celeriac import events
from celeriac.ledger import prepared, straight
from celeriac.ledger.straight import Straight
from celeriac.ledger.verbs import claim_ahead
from tests.ledger_helpers import WORKER, Ledger, a_job, ids
from tests.races.commits import refused

pytestmark = pytest.mark.django_db(transaction=True)

psycopg = pytest.importorskip("psycopg")

connection = connections["default"]


@pytest.fixture
def ledger():
    connection.close()
    prepared.pin(connection, "claim")
    return Ledger("default")


@pytest.fixture
def another():
    """Another session."""
    with psycopg.connect(**connection.get_connection_params() | {"autocommit": True}) as session:
        yield session


@pytest.fixture
def seen(another):
    """What another session sees of a job: (state, claim_no)."""
    return lambda job: another.execute("SELECT state, claim_no FROM celeriac_job WHERE id = %s", [job.id]).fetchone()


@pytest.fixture
def gate(another):
    """A lock of that session's, without which no claim's commit goes through; called to let them through."""
    with connection.cursor() as cursor:
        cursor.execute("""CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                          PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$""")
        cursor.execute("""CREATE CONSTRAINT TRIGGER gate AFTER UPDATE ON celeriac_job DEFERRABLE INITIALLY DEFERRED
                          FOR EACH ROW EXECUTE FUNCTION pass()""")
    another.execute("SELECT pg_advisory_lock(4711)")
    yield lambda: another.execute("SELECT pg_advisory_unlock(4711)")
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER gate ON celeriac_job")
        cursor.execute("DROP FUNCTION pass")


def claims():
    return claim_ahead(WORKER, "q", 10)


def test_the_jobs_come_before_the_commit_and_all_of_them(ledger, gate, seen):
    jobs = [ledger.given(args=f'["{"x" * 100_000}"]') for _ in range(5)]
    claimed, commit = claims()
    assert ids(claimed) == ids(jobs)
    assert {job.claim_no for job in claimed} == {1}
    assert {seen(job) for job in jobs} == {("ready", 0)}
    gate()
    commit()
    assert {seen(job) for job in jobs} == {("running", 1)}
    assert ledger.claim() == []


def test_with_a_libpq_that_has_no_pipelines_the_commit_comes_first(ledger, seen, monkeypatch):
    monkeypatch.setattr(psycopg.Pipeline, "is_supported", lambda: False)
    straight._libpq.cache_clear()
    try:
        job = ledger.given()
        claimed, commit = claims()
        assert ids(claimed) == [job.id]
        assert seen(job) == ("running", 1)
        commit()
    finally:
        straight._libpq.cache_clear()


def test_it_is_an_event_once_it_is_committed(ledger):
    heard = []
    subscriber = events.subscribe(lambda name, facts: heard.append((name, ids(facts["jobs"]))))
    try:
        _, nothing = claims()
        nothing()
        job = ledger.given()
        heard.clear()
        _, commit = claims()
        assert heard == []
        commit()
        assert heard == [("claim", [job.id])]
    finally:
        events.unsubscribe(subscriber)


def test_a_commit_that_fails_is_told_and_the_connection_goes_on(ledger, seen):
    job = ledger.given()
    with refused():
        claimed, commit = claims()
        assert ids(claimed) == [job.id]
        with pytest.raises(DatabaseError, match="no commit"):
            commit()
        assert seen(job) == ("ready", 0)
        assert ids(ledger.claim()) == [job.id]
    assert seen(job) == ("running", 1)


def test_a_statement_that_fails_is_told_at_once_and_the_connection_goes_on(ledger):
    job = ledger.given()
    with pytest.raises(DatabaseError, match="NUL"):
        claim_ahead(WORKER, "q\0", 10)
    with pytest.raises(DatabaseError, match="LIMIT must not be negative"):
        claim_ahead(WORKER, "q", -1)
    assert ids(ledger.claim()) == [job.id]


@pytest.mark.parametrize("known", [False, True])
def test_a_connection_that_is_lost_before_the_commit_is_told(ledger, gate, another, seen, known):
    """By the answer that does not come, or before that is waited for."""
    job = ledger.given()
    _, commit = claims()
    another.execute("SELECT pg_terminate_backend(%s, 10000)", [connection.connection.info.backend_pid])
    if known:
        connection.connection.pgconn.finish()
    with pytest.raises(OperationalError):
        commit()
    gate()
    connection.close()
    assert seen(job) == ("ready", 0)


def test_a_session_that_has_forgotten_is_asked_again(ledger, monkeypatch):
    first = ledger.given()
    prepare, prepared_here = Straight._prepare, []
    monkeypatch.setattr(Straight, "_prepare", lambda self, query: prepared_here.append(1) or prepare(self, query))
    assert ids(ledger.claim()) == [first.id]
    connection.connection.execute("DEALLOCATE ALL")
    second = ledger.given()
    assert ids(ledger.claim()) == [second.id]
    assert len(prepared_here) == 2


def test_within_a_transaction_of_the_callers_it_is_that_ones_commit(ledger, seen):
    job = a_job()
    with transaction.atomic():
        ledger.insert(job)
        claimed, commit = claims()
        commit()
        assert ids(claimed) == [job.id]
        assert seen(job) is None
    assert seen(job) == ("running", 1)
