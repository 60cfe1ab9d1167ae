"""A worker that dies whole: its jobs run again elsewhere, soon, and nobody is charged for it but a poison pill."""

from __future__ import annotations

import os
import signal
from uuid import uuid4

import pytest

from celeriac.ledger.models import Job, Worker
from tests.integration.looking import ended, lines, settings_env, started
from tests.shop.tasks import hold, kill_worker, note
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SHOP = "tests.shop.celery"


@pytest.fixture
def two(celery_worker_process):
    """Two workers; the first to be there leads."""
    return [celery_worker_process(SHOP, "-c", "1", "-n", f"{name}@here", env=ENV) for name in ("one", "two")]


ENV = settings_env(CELERIAC={"HEARTBEAT_SECONDS": 0.4})


def holder(result) -> str:
    row = started(result)
    return Worker.objects.get(id=row.worker).hostname.split("@")[0]


@pytest.mark.parametrize("whose", ["parent", "group"])
def test_a_killed_workers_job_runs_again_uncharged(two, tmp_path, whose):
    path, gate = str(tmp_path / "notes"), tmp_path / "gate"
    result = hold.delay(str(gate), path)
    wait_until(lambda: lines(path))
    victim = two[0 if holder(result) == "one" else 1]
    if whose == "parent":
        os.kill(victim.pid, signal.SIGKILL)
    else:
        os.killpg(victim.pid, signal.SIGKILL)
    wait_until(lambda: len(lines(path)) == 2)
    gate.touch()
    [row] = ended(result)
    assert (row.state, row.attempt, row.losses, row.suspect) == ("succeeded", 0, 0, True)
    assert lines(path).count("end held") == 1


def test_a_pill_that_takes_the_whole_worker_along_is_found(celery_worker_process, tmp_path):
    workers = [celery_worker_process(SHOP, "-P", "threads", "-c", "2", "-n", "w0@here", env=ENV)]
    pill = kill_worker.delay()
    neighbours = [note.delay(str(tmp_path / "notes"), n) for n in range(20)]
    for number in range(1, 5):
        workers[-1].wait(30)
        workers.append(celery_worker_process(SHOP, "-P", "threads", "-c", "2", "-n", f"w{number}@here", env=ENV))
    row, *others = ended(pill, *neighbours, timeout=40)
    assert (row.state, row.reason, row.losses) == ("dead", "lost", 3)
    assert {(other.state, other.attempt) for other in others} == {("succeeded", 0)}
    assert "was lost" in row.attempts.last().message


def test_a_stopped_worker_is_replaced_and_comes_back(two, tmp_path):
    path, gate = str(tmp_path / "notes"), tmp_path / "gate"
    result = hold.delay(str(gate), path)
    wait_until(lambda: lines(path))
    zombie = two[0 if holder(result) == "one" else 1]
    os.killpg(zombie.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: len(lines(path)) == 2, 15)
        gate.touch()
        [row] = ended(result)
        finished = row.finished_at
    finally:
        os.killpg(zombie.pid, signal.SIGCONT)
    zombie.wait_for("was taken for lost")
    zombie.wait_for("no longer ours")
    [row] = ended(result)
    assert (row.state, row.finished_at, row.claim_no) == ("succeeded", finished, 2)
    other = two[1 if zombie is two[0] else 0]
    other.end()
    assert ended(note.delay(path, "back"))[0].state == "succeeded"


def test_a_worker_that_is_no_more_is_no_more_in_the_table(two):
    wait_until(lambda: Worker.objects.count() == 2)
    two[0].end(grace=10)
    assert [row.hostname for row in Worker.objects.all()] == ["two@here"]


def test_jobs_of_a_worker_without_a_row_are_rescued(two, tmp_path):
    result = note.apply_async((str(tmp_path / "notes"), "orphan"), countdown=3600)
    Job.objects.filter(id=result.id).update(state="running", worker=uuid4(), claim_no=1)
    [row] = ended(result, timeout=20)
    assert (row.state, row.suspect) == ("succeeded", True)


def test_a_claim_whose_answer_was_lost_is_given_back_by_its_own_worker(two, tmp_path):
    """As when a connection was cut, and the server committed the claim later than the worker looked for it."""
    wait_until(lambda: Worker.objects.count() == 2)
    result = note.apply_async((str(tmp_path / "notes"), "stray"), countdown=3600)
    alive = Worker.objects.first()
    Job.objects.filter(id=result.id).update(state="running", worker=alive.id, claim_no=1)
    [row] = ended(result, timeout=20)
    assert (row.state, row.attempt, row.suspect) == ("succeeded", 0, False)
