"""The pages of schedules cost the same with ten schedules and with ten thousand, and with as many ticks."""

from __future__ import annotations

import re

import pytest
from django.db import connection

from celeriac.ledger.dead import CAP
from tests.admin.pages import SCHEDULES, TICKS, schedule_page
from tests.admin.schedules import a_schedule, a_tick
from tests.admin.test_plans import asked, plan_of
from tests.ledger_helpers import Ledger

pytestmark = pytest.mark.django_db

MANY = """
    INSERT INTO celeriac_schedule (
        name, source, origin, task, args, kwargs, options, timing, policy, description, enabled, once, trouble, anchor,
        skips, changed_at, next_tick
    )
    SELECT 's' || n, 'settings', '', 'shop.t' || n % 20, '[]', '{}', '{}', '{"every":3600}', '{}', '', true, false, '',
           now(), '[]', now(), now() + n * interval '1 second'
    FROM generate_series(1, 10000) AS n
"""
TICKS_OF_EACH = """
    INSERT INTO celeriac_tick (schedule, instant, kind, outcome, reason, count, fired_at, told, note)
    SELECT 's' || s, now() - n * interval '1 hour', 'due', 'succeeded', '', 1, now() - n * interval '1 hour', '', ''
    FROM generate_series(1, 10000) AS s, generate_series(1, 5) AS n
"""


@pytest.fixture
def many():
    """Ten thousand schedules with five ticks each, and statistics that know it."""
    with connection.cursor() as cursor:
        for statement in (MANY, TICKS_OF_EACH, "ANALYZE celeriac_schedule", "ANALYZE celeriac_tick"):
            cursor.execute(statement)
    return a_schedule("one of many")


def test_the_list_asks_as_much_for_one_as_for_many(viewer):
    def some(count):
        for n in range(count):
            name = f"{count}-{n}"
            a_schedule(name)
            a_tick(name, Ledger("default").now(), job=Ledger("default").given().id)
        return asked(viewer, SCHEDULES)

    one, many_ = some(1), some(60)
    assert len(many_) <= len(one) + 1 <= 8  # the count of what is more than a page
    for sql in many_:
        chosen = sql.partition(" FROM ")[0]
        for column in ("args", "kwargs", "options"):
            assert f'"celeriac_schedule"."{column}"' not in chosen


def test_the_page_asks_as_much_for_one_tick_as_for_many(viewer):
    row, ledger = a_schedule("s"), Ledger("default")
    a_tick("s", ledger.now(), job=ledger.given().id)
    one = asked(viewer, schedule_page(row))
    for _ in range(60):
        a_tick("s", ledger.now(), job=ledger.given().id)
    assert len(asked(viewer, schedule_page(row))) == len(one) <= 6


@pytest.mark.parametrize("query", ["", "?p=3", "?standing=on", "?standing=broken", "?source=settings", "?q=s99"])
def test_ticks_and_jobs_are_found_by_indexes_and_nothing_counts_without_a_cap(many, viewer, query):
    statements = asked(viewer, SCHEDULES + query)
    assert len(statements) <= 8
    for sql in statements:
        assert "Seq Scan on celeriac_tick" not in plan_of(sql), sql
        if "COUNT(" in sql.upper():
            assert f"LIMIT {CAP}" in sql
        if "celeriac_tick" in sql or "celeriac_job" in sql:
            assert "Seq Scan" not in plan_of(sql), sql


def test_one_schedule_is_found_by_indexes(many, viewer):
    for address in (schedule_page(many), f"{SCHEDULES}named/?name=s77", f"{TICKS}?schedule=s77", TICKS):
        response = viewer.get(address)
        assert response.status_code in {200, 302}
    for sql in asked(viewer, schedule_page(many)) + asked(viewer, f"{TICKS}?schedule=s77"):
        # Of ten actions and no job PostgreSQL reads the table.
        assert not re.search(r"Seq Scan on celeriac_(tick|schedule)", plan_of(sql)), sql
