"""`jobs stats`: counts by queue and by task, who works, what is open; and that it stays fast."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import connections
from django.db.models import F

from celeriac.ledger import overview
from celeriac.ledger.names import names
from celeriac.ledger.overview import Count
from celeriac.ledger.states import State
from tests.ledger_helpers import WORKER, a_present, an_id


def by_name(ledger, column="queue", **how):
    return {standing.name: standing for standing in overview.standings(column, using=ledger.alias, **how)}


def test_each_queue_and_state(ledger):
    for n, state in enumerate(overview.SHOWN, start=1):
        for _ in range(n):
            ledger.at(state, queue="mail", task=f"shop.{state}")
    ledger.at(State.SUCCEEDED, queue="done")
    ledger.given(queue="slow")
    found = by_name(ledger)
    assert sorted(found) == ["mail", "slow"]
    assert {state: found["mail"].of(state).number for state in overview.SHOWN} == {
        "ready": 1,
        "running": 2,
        "scheduled": 3,
        "waiting": 4,
        "dead": 5,
    }
    assert found["slow"].of(State.DEAD) == Count(0)
    tasks = by_name(ledger, "task")
    assert {
        name: standing.of(State(name.removeprefix("shop."))).number
        for name, standing in tasks.items()
        if name != "shop.noop"
    } == {f"shop.{state}": n for n, state in enumerate(overview.SHOWN, start=1)}


@pytest.mark.parametrize("column", ["queue", "task"])
def test_counts_stop_at_the_cap(ledger, column):
    for state in overview.SHOWN:
        for _ in range(3):
            ledger.at(state)
    [standing] = by_name(ledger, column, cap=3).values()
    assert {str(standing.of(state)) for state in overview.SHOWN} == {"3+"}
    assert str(standing.died) == "3+"


def test_the_ready_job_that_waits_longest_whatever_its_priority(ledger):
    jobs = [ledger.given(priority=priority) for priority in (9, 5, 0, 5)]
    ledger.time_passes(jobs[3], seconds=120)
    ledger.time_passes(jobs[0], seconds=60)
    assert by_name(ledger)["q"].oldest == ledger.row(jobs[3]).run_at


def test_who_died_within_the_hour(ledger):
    old, _ = ledger.at(State.DEAD), ledger.at(State.DEAD)
    ledger.jobs.filter(id=old.id).update(finished_at=F("finished_at") - timedelta(hours=2))
    standing = by_name(ledger)["q"]
    assert (standing.of(State.DEAD).number, standing.died.number) == (2, 1)


def test_the_names_come_out_of_the_index(ledger):
    """Of a queue with thousands of ready jobs one is looked at."""
    if connections[ledger.alias].vendor != "postgresql":
        pytest.skip("plans read otherwise elsewhere")
    with connections[ledger.alias].cursor() as cursor:
        cursor.execute(MANY)
        cursor.execute("ANALYZE celeriac_job")
    rows = ledger.jobs.filter(state=State.READY)
    assert names("queue", state=State.READY, using=ledger.alias) == [f"q{n}" for n in range(4)]
    assert "celeriac_job_claim" in rows.filter(queue__gt="q1").order_by("queue").values_list("queue")[:1].explain()


def test_as_tables(jobs, ledger, dies):
    ledger.renew(a_present(WORKER, hostname="celery@web1", queues='["mail"]', stuck=f'["{an_id()}"]'))
    ledger.running(queue="mail")
    ledger.given(queue="vip")
    ledger.given(queue="halted")
    ledger.pause("halted")
    dies(queue="mail")
    lines = [" ".join(line.split()) for line in jobs("stats").lines]
    assert lines == [
        "QUEUE READY RUNNING SCHEDULED WAITING DEAD IN 1H OLDEST",
        "halted 1 - - - - - 0s paused",
        "mail - 1 - - 1 1 -",
        "vip 1 - - - - - 0s no worker takes it",
        "",
        "WORKER PID POOL RUNS SEEN QUEUES",
        "celery@web1 4711 prefork 1/2 0s ago mail leads, 1 stuck",
    ]


def test_a_worker_that_is_gone_or_silent_is_said(jobs, ledger):
    ledger.running()
    assert "gone, its jobs are to be rescued" in jobs("stats").out
    ledger.renew(a_present(WORKER))
    ledger.not_seen_for(WORKER, 60)
    assert "silent" in jobs("stats").out


def test_nothing_there(jobs, ledger):
    assert jobs("stats").out == "No job is open, and none is dead.\n\nNo worker is there.\n"


def test_open_actions_are_shown(jobs, dies):
    for _ in range(2):
        dies()
    jobs("replay", "--all", "--yes", "--canary", "--no-wait")
    assert "1/2" in jobs("stats").lines[-1]


def test_json(jobs, ledger, dies):
    dies(queue="mail")
    ledger.renew(a_present(WORKER))
    told = json.loads(jobs("stats", "--json").out)
    assert list(told) == ["queues", "workers", "actions"]
    [queue] = told["queues"]
    assert queue == {
        "name": "mail",
        "ready": 0,
        "running": 0,
        "scheduled": 0,
        "waiting": 0,
        "dead": 1,
        "died_last_hour": 1,
        "at_least": [],
        "oldest_ready": None,
        "note": "",
    }
    assert told["workers"][0]["id"] == str(WORKER)
    assert list(json.loads(jobs("stats", "--tasks", "--json").out)) == ["tasks", "workers", "actions"]


MANY = """
    INSERT INTO celeriac_job (
        id, task, queue, priority, args, kwargs, headers, state, reason, attempt, losses, claim_no, waits_for,
        run_at, created_at
    )
    SELECT gen_random_uuid(), 'shop.t' || n % 4, 'q' || n % 4, 0, '[]', '{}', '{}', 'ready', '', 0, 0, 0, 0, now(),
           now()
    FROM generate_series(1, 8000) AS n
"""
