"""Real workers and lanes: one at a time, in order, whatever becomes of the one whose turn it is."""

from __future__ import annotations

import os
import signal
from itertools import pairwise

import pytest
from django.db import connections, transaction

from celeriac.api.payload import encode
from celeriac.ledger import bell
from celeriac.ledger.models import Job
from celeriac.ledger.rows import NewJob
from celeriac.ledger.verbs import insert
from tests.integration.looking import ended, lines, settings_env, started
from tests.ledger_helpers import an_id
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SHOP = "tests.shop.celery"
TASKS = "tests.shop.tasks"


def lined(lane, task, *args, **fields):
    given = {"queue": "celery", "args": encode(list(args)), "lane": lane, "reason": "exclusive", **fields}
    return NewJob(an_id(), f"{TASKS}.{task}", **given)


def asked(*jobs):
    with transaction.atomic():
        insert(jobs)
        bell.ring_on_commit([bell.SCHEDULED])
    return [job.id for job in jobs]


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_jobs_of_two_lanes_never_overlap_within_one_and_run_in_order(celery_worker_process, tmp_path, pool):
    celery_worker_process(SHOP, "-c", "4", "-P", pool)
    paths = {lane: tmp_path / lane for lane in "ab"}
    ids = asked(*(lined(lane, "sleep", 0.02, str(paths[lane]), n) for n in range(10) for lane in "ab"))
    assert {row.state for row in ended(*ids)} == {"succeeded"}
    for path in paths.values():
        assert lines(path) == [f"{what} {n}" for n in range(10) for what in ("start", "end")]
    rows = Job.objects.filter(lane="a").order_by("id")
    spans = [(row.started_at, row.finished_at) for row in rows]
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_lanes_do_not_wait_for_one_another(celery_worker_process, tmp_path):
    celery_worker_process(SHOP, "-c", "2")
    gate = tmp_path / "gate"
    [held, behind] = asked(lined("a", "hold", str(gate)), lined("a", "noop", 1))
    started(held)
    [other] = asked(lined("b", "noop", 2))
    ended(other)
    assert Job.objects.get(id=behind).state == "waiting"
    gate.touch()
    ended(held, behind)


def test_a_retry_keeps_its_turn(celery_worker_process, tmp_path):
    celery_worker_process(SHOP, "-c", "2")
    path = str(tmp_path / "notes")
    ended(*asked(lined("a", "flaky", 2, path), lined("a", "note", path, "behind")))
    assert lines(path) == ["0", "1", "2", "behind"]


def test_a_scheduled_job_gets_its_turn_when_it_is_due(celery_worker_process):
    celery_worker_process(SHOP, "-c", "2", env=settings_env(CELERIAC={"POLL_SECONDS": 0.1}))
    later, now = asked(lined("a", "noop", 1, delay=0.4), lined("a", "noop", 2))
    first, second = ended(now, later)
    assert second.started_at >= second.run_at >= first.finished_at


def test_a_killed_workers_job_keeps_its_turn_through_the_rescue(celery_worker_process, tmp_path):
    env = settings_env(CELERIAC={"HEARTBEAT_SECONDS": 0.4})
    workers = [celery_worker_process(SHOP, "-c", "1", "-n", f"{name}@here", env=env) for name in ("one", "two")]
    path, gate = str(tmp_path / "notes"), tmp_path / "gate"
    first, second = asked(lined("a", "hold", str(gate), path), lined("a", "note", path, "behind"))
    wait_until(lambda: lines(path))
    holder = Job.objects.get(id=first).worker
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT hostname FROM celeriac_worker WHERE id = %s", [holder])
        victim = workers[0 if cursor.fetchone()[0].startswith("one") else 1]
    os.kill(victim.pid, signal.SIGKILL)
    wait_until(lambda: len(lines(path)) == 2)
    assert Job.objects.get(id=second).state == "waiting"
    gate.touch()
    assert [row.state for row in ended(first, second)] == ["succeeded", "succeeded"]
    assert lines(path) == ["start held", "start held", "end held", "behind"]
