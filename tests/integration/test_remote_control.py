"""`celery inspect` and `celery control` see ledger jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from celeriac.ledger.models import Worker
from tests.integration.looking import job, lines, started, state
from tests.shop.celery import app
from tests.shop.tasks import hold, noop, sleep
from tests.waiting import wait_until
from tests.workers import ROOT

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cli(database_env, broker, broker_env):
    def run(*args):
        env = {**os.environ, **database_env, **broker_env, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        command = [sys.executable, "-m", "celery", "-A", "tests.shop.celery", *args, "--json", "--timeout", "1"]
        done = subprocess.run(command, check=False, env=env, cwd=ROOT, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr
        answers = json.loads(done.stdout)
        (answer,) = answers.values() if isinstance(answers, dict) else answers
        return answer

    return run


@pytest.fixture(scope="module")
def worker_env(broker_env):
    return broker_env


def ask(command):
    """The worker's answer, as soon as it is there."""
    (answer,) = getattr(app.control.inspect(timeout=5, limit=1), command)().values()
    return answer


def test_active_reserved_and_stats_see_ledger_jobs(worker, cli, tmp_path):
    gate = tmp_path / "gate"
    before = ask("stats")["total"].get(hold.name, 0)
    result = hold.delay(str(gate), text="me")
    started(result)
    (seen,) = cli("inspect", "active")
    assert (seen["id"], seen["name"], seen["kwargs"]) == (result.id, hold.name, {"text": "me"})
    stats = ask("stats")
    assert seen["worker_pid"] in stats["pool"]["processes"]
    assert stats["ledger"]["worker"] == str(Worker.objects.get().id)
    assert ask("reserved") == []
    gate.touch()
    assert result.get(timeout=10) == "me"
    wait_until(lambda: ask("active") == [])
    wait_until(lambda: ask("stats")["total"][hold.name] == before + 1)  # counted when its claim is back


def test_revoke_terminate_ends_the_job_that_runs_and_no_other(worker, cli, tmp_path):
    path = tmp_path / "notes"
    slow = sleep.delay(30, str(path), "slow")
    other = hold.delay(str(tmp_path / "gate"))
    wait_until(lambda: lines(path))
    started(other)
    cli("control", "terminate", "SIGTERM", slow.id)
    assert state(slow) == ("cancelled", "terminated")
    assert slow.state == "REVOKED"
    assert job(other).state == "running"
    (tmp_path / "gate").touch()
    assert other.get(timeout=10) == "held"
    assert lines(path) == ["start slow"]
    assert noop.delay(1).get(timeout=10) == 1


def test_revoke_cancels_what_waits(worker, broker):
    later = noop.apply_async(countdown=3600)
    later.revoke()
    assert state(later) == ("cancelled", "revoked")
    assert later.state == "REVOKED"


def test_revoke_from_python_terminates_too(worker, broker, tmp_path):
    path = tmp_path / "notes"
    slow = sleep.delay(30, str(path), "slow")
    wait_until(lambda: lines(path))
    slow.revoke(terminate=True, signal="SIGKILL")
    assert state(slow) == ("cancelled", "terminated")
