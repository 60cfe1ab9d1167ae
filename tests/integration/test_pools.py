"""The basics on each pool: run, fail, retry, chain, and end cleanly."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from celery import chord

from celeriac.ledger.models import Job, Worker
from tests.integration.looking import ended, job, lines, started, state
from tests.shop.tasks import add, balloon, fail, flaky, frozen, hold, noop, pid, sleep, total
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
POOLS = ["prefork", "threads", "solo"]


@pytest.mark.parametrize("pool", POOLS)
def test_a_pool_runs_what_is_asked_and_ends_cleanly(pool, celery_worker_process, tmp_path):
    path, gate = tmp_path / "notes", tmp_path / "gate"
    worker = celery_worker_process("tests.shop.celery", "-c", "1", "-P", pool)
    assert worker.output.count("No broker is configured (CELERY_BROKER_URL)") == 1
    broken, again = fail.delay("broken"), flaky.delay(1)
    many = [noop.delay(n) for n in range(200)]
    assert (noop.s(1) | add.s(2) | add.s(3)).apply_async().get(timeout=15) == 6
    assert chord([noop.s(1), noop.s(2)], total.s())().get(timeout=15) == 3
    assert state(broken) == ("dead", "failed")
    assert again.get(timeout=10) == 1
    assert {row.state for row in ended(*many)} == {"succeeded"}
    assert Worker.objects.get().pid == worker.pid

    # The warm shutdown ends what runs and gives back the rest.
    running = hold.delay(str(gate), str(path), "running")
    started(running)
    wait_until(lambda: lines(path))
    rest = [noop.delay(n) for n in range(20)]
    worker.send(signal.SIGTERM)
    worker.wait_for("Warm shutdown")
    gate.touch()
    assert worker.wait() == 0
    row = job(running)
    assert (row.state, row.attempt) == ("succeeded", 0)
    assert lines(path) == ["start running", "end running"]
    assert not Job.objects.filter(state="running").exists()
    assert not Worker.objects.exists()
    left = Job.objects.filter(id__in=[result.id for result in rest])
    assert set(left.values_list("state", "attempt", "losses")) == {("ready", 0, 0)}
    assert left.count() == 20


def test_the_collector_passes_by_what_was_there_before_the_fork(celery_worker_process):
    celery_worker_process("tests.shop.celery", "-c", "1")
    assert frozen.delay().get(timeout=10) > 20_000


def test_claim_mates_of_a_slow_job_are_run_by_the_other_slot(celery_worker_process, tmp_path):
    """Patience: nothing waits behind a body that takes longer than a claim may."""
    gate = tmp_path / "gate"
    celery_worker_process("tests.shop.celery", "-c", "2")
    first, second = tmp_path / "first", tmp_path / "second"
    holding = [hold.delay(str(first)), hold.delay(str(second))]
    for result in holding:
        started(result)
    slow = hold.apply_async((str(gate),), priority=9)
    mates = [noop.delay(n) for n in range(30)]
    first.touch()  # one slot free: it claims the slow job and some of the others
    second.touch()
    assert {row.state for row in ended(*mates)} == {"succeeded"}
    assert job(slow).state == "running"
    assert {row.attempt for row in ended(*mates)} == {0}
    gate.touch()
    assert slow.get(timeout=10) == "held"


def test_mates_wait_while_the_only_slot_is_busy_and_belong_to_nobody(celery_worker_process, tmp_path):
    gate = tmp_path / "gate"
    slow = hold.apply_async((str(gate),), priority=9)
    mates = [noop.delay(n) for n in range(5)]
    celery_worker_process("tests.shop.celery", "-c", "1")
    started(slow)
    ready = Job.objects.filter(id__in=[mate.id for mate in mates], state="ready", worker__isnull=True)
    wait_until(lambda: ready.count() == 5)
    gate.touch()
    assert {row.state for row in ended(*mates)} == {"succeeded"}


def test_nothing_waits_in_the_pool_behind_a_slow_body(celery_worker_process, tmp_path):
    """A worker that has learned how quick jobs are takes many; what it gets behind one that is slow is given back."""
    gate = tmp_path / "gate"
    celery_worker_process("tests.shop.celery", "-c", "1")
    ended(*[noop.delay(n) for n in range(50)])
    slow = hold.delay(str(gate))
    mates = [noop.delay(n) for n in range(5)]
    started(slow)
    ready = Job.objects.filter(id__in=[mate.id for mate in mates], state="ready", worker__isnull=True)
    wait_until(lambda: ready.count() == 5)
    gate.touch()
    assert {(row.state, row.attempt, row.losses) for row in ended(*mates)} == {("succeeded", 0, 0)}


def test_a_process_is_replaced_after_as_many_jobs_as_were_said(celery_worker_process):
    celery_worker_process("tests.shop.celery", "-c", "1", "--max-tasks-per-child", "3")
    results = [pid.delay(n) for n in range(9)]
    rows = sorted(ended(*results), key=lambda row: row.started_at)
    pids = [row.result for row in rows]
    assert len(set(pids)) == 3
    assert pids == [p for p in dict.fromkeys(pids) for _ in range(3)]
    assert {(row.attempt, row.losses) for row in rows} == {(0, 0)}


def test_a_process_that_grew_too_large_is_replaced(celery_worker_process):
    worker = celery_worker_process("tests.shop.celery", "-c", "1", "--max-memory-per-child", "200000")
    first = balloon.delay(300).get(timeout=15)
    assert first[1] > 200_000
    after = balloon.delay(1).get(timeout=15)
    assert after[0] != first[0]
    assert pid.delay().get(timeout=15) == after[0]
    assert worker.process.poll() is None


def test_a_job_whose_process_was_killed_from_outside_runs_again(celery_worker_process, tmp_path):
    path, gate = tmp_path / "notes", tmp_path / "gate"
    celery_worker_process("tests.shop.celery", "-c", "1")
    child = pid.delay().get(timeout=10)
    result = hold.delay(str(gate), str(path))
    wait_until(lambda: lines(path))
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: len(lines(path)) == 2)
    gate.touch()
    assert result.get(timeout=15) == "held"
    row = job(result)
    assert (row.state, row.attempt, row.losses) == ("succeeded", 1, 1)


def test_a_pool_whose_idle_processes_are_killed_goes_on(celery_worker_process):
    """One of them holds the lock of the pipe that work comes by, and must not take it along."""
    worker = celery_worker_process("tests.shop.celery", "-c", "2")
    noop.delay().get(timeout=10)
    idle = [int(line) for line in _children(worker.pid)]
    assert len(idle) == 2
    for child in idle:
        os.kill(child, signal.SIGKILL)
    wait_until(lambda: len(set(_children(worker.pid)) - set(map(str, idle))) == 2)
    assert [noop.delay(n).get(timeout=10) for n in range(4)] == [0, 1, 2, 3]


def _children(parent: int) -> list[str]:
    return Path(f"/proc/{parent}/task/{parent}/children").read_text().split() + [
        child
        for task in Path(f"/proc/{parent}/task").iterdir()
        if task.name != str(parent)
        for child in (task / "children").read_text().split()
    ]


def test_two_workers_of_one_name_are_told_and_share_the_line(celery_worker_process):
    first = celery_worker_process("tests.shop.celery", "-c", "1", "-n", "same@%h")
    wait_until(Worker.objects.exists)
    second = celery_worker_process("tests.shop.celery", "-c", "1", "-n", "same@%h")
    assert "-n worker2@%h" in second.wait_for("Another worker named same@")
    assert Worker.objects.count() == 2
    results = [sleep.delay(0.01) for _ in range(60)]
    rows = ended(*results)
    assert {(row.state, row.attempt, row.losses) for row in rows} == {("succeeded", 0, 0)}
    ran = [output.count(f"{sleep.name}[") for output in (first.output, second.output)]
    assert sum(ran) == 60
    assert min(ran) > 0
