"""A page costs the same with ten dead jobs and with a million: what it asks has an index, or a cap."""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from celeriac.admin import jobs
from celeriac.admin.patience import TookTooLong, in_time
from celeriac.ledger.states import State
from tests.admin.pages import GROUPS, JOBS, text, to
from tests.ledger_helpers import Ledger

pytestmark = pytest.mark.django_db

MANY = """
    INSERT INTO celeriac_job (
        id, task, queue, priority, args, kwargs, headers, state, reason, attempt, losses, claim_no, waits_for,
        run_at, created_at, finished_at, exception, fingerprint
    )
    SELECT gen_random_uuid(), 'shop.t' || n % 20, 'q' || n % 20, 0, '[]', '{}', '{}', 'dead', 'failed', 1, 0, 1, 0,
           now(), now(), now() - n * interval '1 second', 'e' || (n / 20) % 20, 'f' || (n / 400) % 20
    FROM generate_series(1, 10000) AS n
"""

#: Within a limit a scan ends soon; these are the counts up to the cap, which may be of any index or of none.
CAPPED = re.compile(r"SELECT COUNT\(\*\) FROM \(SELECT .* LIMIT 10000\)|LIMIT 10000$")


@pytest.fixture
def many():
    """Ten thousand dead, and statistics that know it."""
    with connection.cursor() as cursor:
        cursor.execute(MANY)
        cursor.execute("ANALYZE celeriac_job")


def asked(client, address, **form):
    with CaptureQueriesContext(connection) as queries:
        response = client.post(address, form) if form else client.get(address)
    assert response.status_code == 200
    return [query["sql"] for query in queries if "celeriac_" in query["sql"]]


def plan_of(sql):
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + sql.replace("%", "%%"), [])
        return "\n".join(line for (line,) in cursor.fetchall())


@pytest.mark.parametrize(
    "address",
    [
        JOBS, f"{JOBS}?p=3", f"{JOBS}?task=shop.t1", f"{JOBS}?queue=q1", f"{JOBS}?exception=e1", GROUPS,
        f"{JOBS}?fingerprint=f1", f"{JOBS}?window=1h", f"{JOBS}?state=all", f"{JOBS}?state=open", f"{JOBS}?state=ready",
        f"{JOBS}?state=scheduled", f"{JOBS}?state=running", f"{JOBS}?state=waiting", f"{JOBS}?q=nowhere",
    ],
)  # fmt: skip
def test_the_lists_go_through_indexes(many, viewer, address):
    statements = asked(viewer, address)
    assert statements
    for sql in statements:
        if not CAPPED.search(sql) and "pg_" not in sql:
            assert "Seq Scan on celeriac_job" not in plan_of(sql), sql


def test_nothing_counts_without_a_cap(many, viewer, operator):
    across = {"action": "discard", "_selected_action": "x", "select_across": "1", "index": "0"}
    for statements in (asked(viewer, JOBS), asked(viewer, f"{JOBS}?p=9"), asked(operator, JOBS, **across)):
        for sql in statements:
            if "COUNT(" in sql.upper():
                assert "LIMIT 10000" in sql


def test_the_list_fetches_nothing_big_and_asks_as_much_for_one_as_for_many(viewer):
    ledger = Ledger("default")
    ledger.at(State.DEAD)
    few = asked(viewer, JOBS)
    for _ in range(20):
        ledger.at(State.DEAD)
    many_ = asked(viewer, JOBS)
    assert len(few) == len(many_) <= 8
    for sql in many_:
        chosen = sql.partition(" FROM ")[0]
        for column in ("args", "kwargs", "headers", "result", "error", "progress", "children"):
            assert not re.search(rf'(?<!LEFT\()"celeriac_job"\."{column}"', chosen), sql


def test_a_confirmation_loads_no_ids(many, operator):
    statements = asked(operator, to("replay"), selection='{"states": ["dead"]}')
    assert not [sql for sql in statements if " IN (" in sql]
    assert max(map(len, statements)) < 1500


def test_what_takes_too_long_is_given_up():
    with pytest.raises(TookTooLong, match=r"after 0\.01 s"), in_time(0.01), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM generate_series(1, 100000000)")
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_whoever_asked_for_it_is_told(viewer, monkeypatch):
    @contextmanager
    def never():
        raise TookTooLong("The database was stopped.")
        yield

    monkeypatch.setattr(jobs, "in_time", never)
    response = viewer.get(JOBS)
    assert response.status_code == 503
    assert "The database was stopped." in text(response)
