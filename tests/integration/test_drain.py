"""A worker that is told to end: what runs may end, for a while; what cannot is given back uncharged; nothing waits."""

from __future__ import annotations

import os
import signal
import time

import pytest

from celeriac.ledger.models import Job, Worker
from tests.integration.looking import attempts, ended, job, lines, settings_env
from tests.shop.tasks import hold, note, stubborn
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SHOP = "tests.shop.celery"


def briefly(**settings) -> dict[str, str]:
    return settings_env(CELERIAC={"DRAIN_SECONDS": 0.5, **settings})


def test_what_runs_may_end(celery_worker_process, tmp_path):
    worker = celery_worker_process(SHOP, "-c", "1")
    gate = tmp_path / "gate"
    path = str(tmp_path / "notes")
    result, later = hold.delay(str(gate), path), note.delay(path, "later")
    wait_until(lambda: lines(path))
    worker.send(signal.SIGTERM)
    worker.wait_for("Warm shutdown")
    gate.touch()
    assert worker.wait() == 0
    assert [row.state for row in (job(result), job(later))] == ["succeeded", "ready"]
    assert not Worker.objects.exists()


@pytest.mark.parametrize("task", [hold, stubborn])
def test_what_takes_too_long_is_interrupted_and_given_back_uncharged(celery_worker_process, tmp_path, task):
    worker = celery_worker_process(SHOP, "-c", "1", env=briefly())
    gate, path = tmp_path / "gate", str(tmp_path / "notes")
    result = task.delay(str(gate), path)
    wait_until(lambda: lines(path))
    begun = time.monotonic()
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert time.monotonic() - begun < 8
    row = job(result)
    assert (row.state, row.attempt, row.losses, row.suspect, attempts(result)) == ("ready", 0, 0, False, [])
    assert not Worker.objects.exists()
    gate.touch()
    celery_worker_process(SHOP, "-c", "1")
    assert ended(result)[0].state == "succeeded"


@pytest.mark.parametrize("hurry", [signal.SIGTERM, signal.SIGQUIT])
def test_a_second_signal_ends_it_at_once(celery_worker_process, tmp_path, hurry):
    worker = celery_worker_process(SHOP, "-c", "1")  # its grace is 25 s
    gate, path = tmp_path / "gate", str(tmp_path / "notes")
    result = hold.delay(str(gate), path)
    wait_until(lambda: lines(path))
    worker.send(signal.SIGTERM)
    worker.wait_for("Warm shutdown")
    begun = time.monotonic()
    worker.send(hurry)
    worker.wait()
    assert time.monotonic() - begun < 8
    assert (job(result).state, job(result).attempt) == ("ready", 0)
    assert not Worker.objects.exists()


def test_a_cold_shutdown_gives_everything_back(celery_worker_process, tmp_path):
    worker = celery_worker_process(SHOP, "-c", "1")
    path = str(tmp_path / "notes")
    result = hold.delay(str(tmp_path / "gate"), path)
    wait_until(lambda: lines(path))
    worker.send(signal.SIGQUIT)
    worker.wait()
    assert (job(result).state, job(result).attempt) == ("ready", 0)
    assert not Worker.objects.exists()


def test_threads_are_waited_for_and_left_to_rescue_when_somebody_insists(celery_worker_process, tmp_path):
    env = briefly(HEARTBEAT_SECONDS=0.4)
    worker = celery_worker_process(SHOP, "-P", "threads", "-c", "2", env=env)
    gate, path = tmp_path / "gate", str(tmp_path / "notes")
    result = hold.delay(str(gate), path)
    wait_until(lambda: lines(path))
    worker.send(signal.SIGTERM)
    worker.wait_for("cannot be interrupted")
    worker.send(signal.SIGTERM)
    worker.wait()
    assert job(result).state == "running"
    gate.touch()
    celery_worker_process(SHOP, "-c", "1", env=env)
    [row] = ended(result)
    assert (row.state, row.attempt) == ("succeeded", 0)


@pytest.mark.parametrize("grace", [0.5, 25])
def test_the_whole_group_may_get_the_signal(celery_worker_process, tmp_path, grace):
    """As from Ctrl-C in a terminal, or systemd's KillMode=control-group."""
    worker = celery_worker_process(SHOP, "-c", "2", env=settings_env(CELERIAC={"DRAIN_SECONDS": grace}))
    path = str(tmp_path / "notes")
    result = hold.delay(str(tmp_path / "gate"), path)
    wait_until(lambda: lines(path))
    os.killpg(worker.pid, signal.SIGTERM)
    assert worker.wait() == 0
    row = job(result)
    assert (row.state, row.losses) == ("ready", 0)
    assert Job.objects.filter(state="running").count() == 0
