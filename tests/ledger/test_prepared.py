"""Hot statements are planned once for a connection, where it is proved to be one session of the server."""

from __future__ import annotations

import gc
import re
import weakref
from datetime import timedelta
from unittest import mock

import pytest
from django.db import DatabaseError, connections, transaction
from django.test.utils import CaptureQueriesContext

from celeriac.ledger import prepared
from celeriac.ledger.columns import arrays, stories
from celeriac.ledger.database import statement
from tests.ledger_helpers import Ledger, a_job, an_id, back, ending

pytestmark = pytest.mark.django_db(transaction=True)

pytest.importorskip("psycopg")

connection = connections["default"]  # itself: what is known of it is not known of Django's proxy


@pytest.fixture
def ledger():
    connection.close()
    connection.ensure_connection()
    return Ledger("default")


def plans() -> list[tuple[str, int]]:
    """What is prepared in this session: the table's verb, and how often it ran."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement, generic_plans + custom_plans FROM pg_prepared_statements")
        rows = cursor.fetchall()
    verbs = {"due AS": "claim", "finished AS": "finish", "INSERT": "insert"}
    return sorted((next(verb for text, verb in verbs.items() if text in sql), count) for sql, count in rows)


def test_claims_are_on_a_connection_of_our_own(ledger):
    prepared.pin(connection, "claim")
    for _ in range(3):
        ledger.given()
        ledger.finish(*map(ending, ledger.claim()))
    assert plans() == [("claim", 3)]


def test_elsewhere_the_planner_looks_each_time(ledger):
    for _ in range(3):
        ledger.given()
        ledger.finish(*map(ending, ledger.claim()))
    assert plans() == []


@pytest.mark.parametrize("analyzed", [None, 0, 1])
def test_the_plan_of_a_claim_is_right_from_the_start(ledger, analyzed):
    """It is made while the table is empty, or all but empty and known to be, and outlives that."""
    prepared.pin(connection, "claim")
    if analyzed is not None:
        for _ in range(analyzed):
            ledger.given()
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE celeriac_job")
    sql = statement("claim").replace("%(limit)s", "$3").replace("%(worker)s", "$1").replace("%(queue)s", "$2")
    with connection.cursor() as cursor:
        cursor.execute(f"PREPARE claiming (uuid, text, int) AS {sql}")
        cursor.execute(f"EXPLAIN EXECUTE claiming ('{an_id()}', 'q', 400)")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Scan using celeriac_job_claim" in plan
    assert "Index Scan using celeriac_job_pkey" in plan
    assert not {"Sort", "Seq Scan on celeriac_job"} & set(re.findall(r"Sort|Seq Scan on \w+", plan)), plan


def test_ends_are_on_another(ledger):
    for _ in range(3):
        ledger.given()
        [job] = ledger.claim()
        prepared.pin(connection, "finish")
        assert ledger.finish(ending(job)).count == 1
    assert plans() == [("finish", 3)]


@pytest.mark.parametrize(("count", "analyzed"), [(1, False), (700, False), (700, True)])
def test_the_plan_of_ends_is_right_from_the_start(ledger, count, analyzed):
    """However many: by the keys of what ends, what waits for it, and what failed; also where few wait for anything."""
    prepared.pin(connection, "finish")
    jobs = ledger.running_many(count)
    ledger.children_of(jobs[0].id)
    if analyzed:
        analyze()
    assert_by_keys(plan_of_ends(jobs))


def test_a_kept_plan_is_made_anew_once_the_tables_are_known_to_have_grown(ledger):
    """Of two jobs, and known to be two, the planner may well read both for each that ends."""
    prepared.pin(connection, "finish")
    [job] = ledger.running_many(1)
    ledger.children_of(job.id)
    analyze()
    plan_of_ends([job])
    more = ledger.running_many(700)
    analyze()
    assert_by_keys(plan_of_ends(more))


def analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE celeriac_job, celeriac_edge, celeriac_attempt")


def plan_of_ends(jobs) -> str:
    values = arrays([ending(job) for job in jobs]) | stories([])
    names = re.findall(r"%\((\w+)\)s", sql := statement("finish"))
    for name in names:
        sql = sql.replace(f"%({name})s", f"${names.index(name) + 1}")
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_prepared_statements WHERE name = 'ending')")
        if not cursor.fetchone()[0]:
            cursor.execute(f"PREPARE ending AS {sql}")
        cursor.execute(f"EXPLAIN EXECUTE ending ({', '.join(['%s'] * len(names))})", [values[name] for name in names])
        return "\n".join(line for (line,) in cursor.fetchall())


def assert_by_keys(plan: str) -> None:
    scans = set(re.findall(r"Scan using (\w+)|(Seq|Bitmap \w+) Scan on (\w+)", plan))
    indexes = {index for index, _, _ in scans if not index.startswith("celeriac_lease_")}
    assert indexes == {"celeriac_job_pkey", "celeriac_edge_once"}, plan
    assert "Hash Join" not in plan
    assert plan.count("Index Cond") == plan.count("Scan using"), plan


@pytest.mark.parametrize("aware", [True, False])
def test_a_claims_moments_are_as_django_would_make_them(ledger, settings, aware):
    connection.close()  # how it reads them is decided when it connects
    settings.USE_TZ = aware
    prepared.pin(connection, "claim")
    ledger.given()
    [job] = ledger.claim()
    assert (job.run_at.tzinfo is not None) == aware
    assert abs(job.run_at - ledger.jobs.get().run_at) < timedelta(milliseconds=1)


@pytest.mark.parametrize("verb", ["finish", "release", "reschedule"])
def test_what_ends_a_claim_does_not_read_all_that_runs(ledger, verb):
    """There is an index of what runs, for rescue; the planner thinks that it is short."""
    jobs = ledger.running_many(50)
    rows = {"finish": ending, "release": None, "reschedule": back}[verb]
    values = arrays([rows(job) for job in jobs]) if rows else {"id": [], "claim_no": []}
    if rows:
        values |= stories([])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE celeriac_worker")
        cursor.execute(f"EXPLAIN {statement(verb)}", values)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "celeriac_job_held" not in plan, plan


def test_inserts_are_once_a_connection_has_seen_a_few(ledger):
    for _ in range(prepared.USES - 1):
        ledger.insert(a_job())
    assert plans() == []
    with transaction.atomic():
        ledger.insert(a_job())
        ledger.insert(a_job())
    assert plans() == [("insert", 2)]


def test_a_rollback_takes_nothing_of_it_away(ledger):
    for _ in range(prepared.USES):
        ledger.insert(a_job())
    with transaction.atomic():
        ledger.insert(a_job())
        transaction.set_rollback(True)
    ledger.insert(a_job())
    assert plans() == [("insert", 2)]  # psycopg begins a transaction with its first statement
    ledger.balances(inserted=prepared.USES + 1)


def test_a_pooler_that_the_project_tells_of_gets_none(ledger, monkeypatch):
    monkeypatch.setitem(connections["default"].settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    for _ in range(prepared.USES):
        ledger.given()
    ledger.finish(*map(ending, ledger.claim()))
    assert plans() == []


def test_what_watches_a_projects_statements_sees_an_insert_all_the_same(ledger):
    for _ in range(prepared.USES):
        ledger.insert(a_job())
    with CaptureQueriesContext(connection) as seen:
        ledger.insert(a_job())
    [query] = seen.captured_queries
    assert "INSERT INTO celeriac_job" in query["sql"]
    told = []
    with connection.execute_wrapper(lambda run, sql, *rest: told.append(sql) or run(sql, *rest)):
        ledger.insert(a_job())
    assert len(told) == 1
    assert plans() == [("insert", 2)]


def test_a_statement_within_a_statement_has_a_cursor_of_its_own(ledger):
    """As where somebody who watches statements calls a task."""
    for _ in range(prepared.USES):
        ledger.insert(a_job())

    def calls(run, *rest):
        with mock.patch.object(connection, "execute_wrappers", []):
            assert ledger.insert(a_job(), a_job()) == 2
        return run(*rest)

    with connection.execute_wrapper(calls):
        assert ledger.insert(a_job()) == 1
    ledger.balances(inserted=prepared.USES + 3)


def test_after_an_error_the_next_insert_is_as_good(ledger):
    for _ in range(prepared.USES):
        ledger.insert(a_job())
    with pytest.raises(DatabaseError):
        ledger.insert(a_job(priority=10))
    assert ledger.insert(a_job()) == 1


def test_what_is_known_of_a_connection_ends_with_it(ledger):
    for _ in range(prepared.USES):
        ledger.insert(a_job())
    old = weakref.ref(connection.connection)
    connection.close()
    ledger.insert(a_job())
    gc.collect()
    assert old() is None
    assert plans() == []


def test_nothing_else_of_the_project_is_prepared(ledger):
    for _ in range(prepared.USES):
        ledger.insert(a_job())
    for _ in range(10):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM celeriac_queue WHERE name = %s", ["q"])
    assert plans() == [("insert", 1)]
    assert connection.connection.prepare_threshold is None
