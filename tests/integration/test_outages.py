"""A database that is away: said once, waited out, nothing lost."""

from __future__ import annotations

import signal

import pytest

from celeriac.ledger.models import Job, Worker
from tests.integration.looking import ended, job, lines, started
from tests.races.commits import refused
from tests.shop.tasks import add, hold, noop, note
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
AWAY = "database is not available"
BACK = "database is back"


def said(worker, text):
    return [line for line in worker.output.splitlines() if text in line]


def test_a_worker_started_without_its_database_waits_for_it(celery_worker_process, proxy, by_proxy):
    results = [noop.delay(n) for n in range(20)]
    worker = celery_worker_process("tests.shop.celery", "-c", "2", env=by_proxy)
    worker.wait_for(AWAY)
    proxy.open()
    worker.wait_for(BACK, 30)
    assert {row.state for row in ended(*results)} == {"succeeded"}
    wait_until(Worker.objects.exists)
    assert len(said(worker, AWAY)) == 1
    assert "Traceback" not in worker.output


def test_a_worker_whose_database_drops_goes_on_when_it_is_back(celery_worker_process, proxy, by_proxy, tmp_path):
    path, gate = tmp_path / "notes", tmp_path / "gate"
    proxy.open()
    worker = celery_worker_process("tests.shop.celery", "-c", "2", env=by_proxy)
    through = hold.delay(str(gate), str(path), "through the outage")
    started(through)
    wait_until(lambda: lines(path))
    proxy.cut()
    worker.wait_for(AWAY)
    during = [note.delay(str(path), n) for n in range(20)]
    gate.touch()  # a body that ends while the ledger is away: its end is written later
    wait_until(lambda: "end through the outage" in lines(path))
    worker.wait_for(f"celeriac flusher: the ledger's {AWAY}")
    assert job(through).state == "running"
    proxy.open()
    assert {row.state for row in ended(through, *during, timeout=30)} == {"succeeded"}
    assert (job(through).attempt, job(through).claim_no) == (0, 1)
    assert sorted(lines(path)) == sorted(
        ["start through the outage", "end through the outage", *(str(n) for n in range(20))]
    )
    assert len(said(worker, f"ERROR/MainProcess] celeriac worker: the ledger's {AWAY}")) <= 1
    assert len(said(worker, AWAY)) <= 3  # the worker's process, and its two children
    assert add.delay(1, 2).get(timeout=10) == 3


def test_a_worker_that_is_told_to_end_during_an_outage_ends(celery_worker_process, proxy, by_proxy):
    proxy.open()
    worker = celery_worker_process("tests.shop.celery", "-c", "1", env=by_proxy)
    assert noop.delay(1).get(timeout=10) == 1
    proxy.cut()
    worker.wait_for(AWAY)
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert not Job.objects.filter(state="running").exists()


def test_a_claim_whose_commit_fails_is_nobodys(celery_worker_process, tmp_path):
    """Its process has had the job by then."""
    path = tmp_path / "notes"
    worker = celery_worker_process("tests.shop.celery", "-c", "2")
    with refused(2):
        results = [note.delay(str(path), n) for n in range(5)]
        assert {(row.state, row.claim_no) for row in ended(*results)} == {("succeeded", 1)}
    assert sorted(lines(path)) == [str(n) for n in range(5)]
    assert "a round failed; it goes on" in worker.output


def test_connections_cut_again_and_again_lose_nothing(celery_worker_process, proxy, by_proxy, tmp_path):
    path = tmp_path / "notes"
    proxy.open()
    celery_worker_process("tests.shop.celery", "-c", "2", env=by_proxy)
    results = []
    for number in range(6):
        results += [note.delay(str(path), f"{number}-{n}") for n in range(30)]
        wait_until(lambda: len(set(lines(path))) >= len(results) - 25, 30)  # noqa: B023 - called at once
        proxy.cut()
        proxy.open()
    assert {row.state for row in ended(*results, timeout=40)} == {"succeeded"}
    assert set(lines(path)) == {f"{number}-{n}" for number in range(6) for n in range(30)}
    assert set(Job.objects.values_list("attempt", "losses")) == {(0, 0)}
