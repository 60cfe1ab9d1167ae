"""Past psycopg's cursor a caller's INSERT and a worker's claims and ends do what they did through it."""

from __future__ import annotations

import signal
import threading
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from django.db import DataError, IntegrityError, OperationalError, ProgrammingError, connections, transaction

from celeriac.ledger import prepared, straight
from celeriac.ledger.straight import Straight
from tests.ledger_helpers import Ledger, a_job, an_id, ending, story
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

psycopg = pytest.importorskip("psycopg")

connection = connections["default"]  # itself: what is known of it is not known of Django's proxy
WHEN = datetime(2031, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
ODD = """it's "quoted", 50 %, %s and %(id)s, a\\back, ünï, 日本, \U0001f955"""


@pytest.fixture
def ledger():
    connection.close()
    connection.ensure_connection()
    return Ledger("default")


@pytest.fixture
def warm(ledger):
    for _ in range(prepared.USES):
        ledger.insert(a_job())
    return ledger


@pytest.fixture
def sent(monkeypatch):
    """The statements that went straight."""
    seen, execute = [], Straight.execute
    monkeypatch.setattr(
        Straight, "execute", lambda self, query, params: seen.append(query) or execute(self, query, params)
    )
    return seen


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"task": f"{ODD}\n", "queue": ODD[:20], "args": f'["{ODD}"]', "kwargs": ODD, "headers": ODD},
        {"priority": 9, "attempt": 3, "args": "x" * 200_000},
        {"delay": 1e-7},
        {"delay": 86_400.5, "expires_in": 1e6, "waits_for": 2, "reason": "parents"},
        {"run_at": WHEN, "expires_at": WHEN + timedelta(days=1)},
        {"fresh": True},
    ],
)
@pytest.mark.parametrize("count", [1, 2])
def test_the_same_row_comes_of_it(warm, sent, fields, count):
    jobs = [a_job(**fields) for _ in range(count)]
    again = [job._replace(id=an_id()) for job in jobs]
    assert warm.insert(*jobs) == count
    assert len(sent) == 1
    with mock.patch.object(prepared, "goes_straight", return_value=False):
        assert warm.insert(*again) == count
    assert len(sent) == 1
    rows = [warm.values(job) for job in (*jobs, *again)]
    clock = {
        "id",
        "created_at",
        *(() if "run_at" in fields else ("run_at",)),
        *(() if "expires_at" in fields else ("expires_at",)),
    }
    assert len({tuple((name, value) for name, value in row.items() if name not in clock) for row in rows}) == 1
    if "delay" in fields:
        assert all(abs((row["run_at"] - row["created_at"]).total_seconds() - fields["delay"]) < 0.01 for row in rows)


def test_an_id_that_is_there_is_asked_once(warm, sent):
    job = a_job()
    assert [warm.insert(job), warm.insert(job)] == [1, 0]
    assert len(sent) == 2
    with pytest.raises(IntegrityError):
        warm.insert(job._replace(fresh=True))


def test_what_the_server_refuses_is_djangos_error_and_leaves_no_trace(warm, sent):
    with pytest.raises(IntegrityError, match="celeriac_job_priority"):
        warm.insert(a_job(priority=10))
    with pytest.raises(DataError, match="NUL"):
        warm.insert(a_job(queue="a\0b"))
    with pytest.raises(DataError, match="too long"):
        warm.insert(a_job(queue="q" * 201))
    assert warm.insert(a_job()) == 1
    assert len(sent) == 4


def test_what_cannot_be_written_is_refused_here(warm):
    with pytest.raises(UnicodeEncodeError):
        warm.insert(a_job(queue="\ud800"))
    assert warm.insert(a_job()) == 1


def test_it_joins_the_transaction_and_its_savepoints(warm, sent):
    kept, undone = a_job(), a_job()
    with transaction.atomic():
        warm.insert(kept)
        with transaction.atomic():
            warm.insert(undone)
            transaction.set_rollback(True)
    assert [job.id for job in (kept, undone) if warm.jobs.filter(id=job.id).exists()] == [kept.id]
    assert len(sent) == 1  # psycopg begins a transaction with its first statement


def test_a_pipeline_is_left_to_psycopg(warm, sent):
    job = a_job(fresh=True)
    with connection.connection.pipeline():
        assert warm.insert(job) == 1
    assert sent == []
    assert warm.values(job)["state"] == "ready"


def test_where_the_project_lets_psycopg_prepare_it_is_left_to_psycopg(warm, sent):
    """After a rollback psycopg deallocates all that the session has prepared."""
    connection.close()
    connection.ensure_connection()
    connection.connection.prepare_threshold = 1
    for _ in range(2 * prepared.USES):
        assert warm.insert(a_job()) == 1
    assert sent == []


def test_where_psycopg_forgets_all_the_same_it_is_prepared_again(warm, sent):
    """Let prepare from one day to the next, after our own statements were."""
    connection.connection.prepare_threshold = 0
    for _ in range(2):
        with transaction.atomic():
            connection.connection.execute("SELECT %s::int", [1])
            transaction.set_rollback(True)
        connection.connection.execute("SELECT 1")
        assert warm.insert(a_job()) == 1


def test_a_psycopg_without_these_names_is_used_as_any(warm, sent):
    with mock.patch.object(straight, "_libpq", return_value=None):
        assert warm.insert(a_job()) == 1
    assert sent == []


def test_two_of_djangos_connections_may_share_a_session(warm, sent):
    other = connection.copy()
    other.connection, other.autocommit = connection.connection, True
    with connection.wrap_database_errors:
        for _ in range(prepared.USES):
            cursor = prepared.watched_cursor(other)
    assert isinstance(cursor.cursor, Straight)
    with mock.patch.dict(prepared._sessions, {connection: prepared._session(other)}):
        assert warm.insert(a_job()) == 1
    assert warm.insert(a_job()) == 1
    assert len(sent) == 2


def test_a_session_that_is_cut_is_an_outage_as_any(warm, sent, pg_dsn):
    pid = connection.connection.info.backend_pid
    with psycopg.connect(pg_dsn, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    with pytest.raises(OperationalError):
        warm.insert(a_job())
    assert not connection.is_usable()
    connection.close()
    assert warm.insert(a_job()) == 1


def test_it_can_be_interrupted_while_it_waits(warm, pg_dsn, monkeypatch):
    """As by Ctrl-C or a soft time limit. psycopg cancels the statement in the server."""
    with psycopg.connect(pg_dsn) as other, psycopg.connect(pg_dsn, autocommit=True) as admin:
        other.execute("LOCK celeriac_job IN EXCLUSIVE MODE")
        pid = connection.connection.info.backend_pid
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = %s"
        main = threading.main_thread().ident

        def interrupt():
            wait_until(lambda: admin.execute(waits, [pid]).fetchone()[0])
            signal.pthread_kill(main, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            warm.insert(a_job())
        thread.join()
    assert warm.insert(a_job()) == 1


def test_what_the_project_has_the_session_discard_is_prepared_again(warm, sent):
    """At once, or after the transaction that fails of it."""
    connection.connection.execute("DEALLOCATE ALL")
    assert warm.insert(a_job()) == 1
    with transaction.atomic():
        connection.cursor().execute("DEALLOCATE ALL")
        with pytest.raises(ProgrammingError, match=r'"celeriac[0-9]+" does not exist'):
            warm.insert(a_job())
        transaction.set_rollback(True)
    assert warm.insert(a_job()) == 1
    assert len(sent) == 3


def test_a_session_that_knows_nothing_just_prepared_is_asked_once(warm, sent, monkeypatch):
    """As through a pooler that nobody could tell from a server."""
    connection.connection.execute("DEALLOCATE ALL")
    prepare, tries = Straight._prepare, []

    def elsewhere(self, query):
        tries.append(query)
        found = prepare(self, query)
        self.connection.execute("DEALLOCATE ALL")
        return found

    monkeypatch.setattr(Straight, "_prepare", elsewhere)
    with pytest.raises(ProgrammingError, match=r'"celeriac[0-9]+" does not exist'):
        warm.insert(a_job())
    assert len(tries) == 1


def test_a_claim_and_its_end_are_the_same_by_it(ledger, monkeypatch):
    """All columns of a claim, and an end with a story, an odd text and nothing at all."""
    fetched, read = [], Straight._read
    monkeypatch.setattr(Straight, "_read", lambda *args: fetched.append(1) or read(*args))
    claims, ends = [], []
    for straightly in (True, False):
        prepared.pin(connection, "claim")
        how = {"wraps": straight.goes_straight} if straightly else {"return_value": False}
        with mock.patch.object(prepared, "goes_straight", **how):
            ledger.insert(a_job(task=ODD, args=f'["{ODD}"]', run_at=WHEN - timedelta(days=9000), expires_at=WHEN))
            [claimed] = ledger.claim()
            prepared.pin(connection, "finish")
            dead = ending(claimed, "dead", error=ODD, exception="ValueError", ran=0.25, ago=1e-7)
            assert ledger.finish(dead, failures=[story(claimed, message=ODD)]).count == 1
            assert ledger.finish(dead).stale == 1
        claims.append(claimed._replace(id=None))
        row = ledger.values(claimed)
        ends.append({name: value for name, value in row.items() if not isinstance(value, datetime) and name != "id"})
        assert [told.message for told in ledger.attempts(claimed)] == [ODD]
    assert claims[0] == claims[1]
    assert ends[0] == ends[1]
    assert len(fetched) == 3
