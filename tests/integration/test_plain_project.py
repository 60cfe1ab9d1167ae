"""A plain Celery and Django project changes one import and adds one app: its own checks hold, its tasks untouched."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.waiting import wait_until
from tests.workers import ROOT

PLAIN = Path(__file__).with_name("plainproject")


@pytest.fixture
def database(postgres):
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE plain")
        yield {**postgres.settings, "ENGINE": "django.db.backends.postgresql", "NAME": "plain"}
        connection.execute("DROP DATABASE plain WITH (FORCE)")


@pytest.fixture
def project(tmp_path, database, broker_url):
    """A copy of the project, and the environment its programs get."""
    folder = tmp_path / "plainproject"
    shutil.copytree(PLAIN, folder, ignore=shutil.ignore_patterns("__pycache__"))
    env = {
        **os.environ,
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT / 'src'}",
        "PYTHONUNBUFFERED": "1",
        "PLAIN_DATABASES": json.dumps({"default": database}),
        "PLAIN_BROKER": broker_url,
        "PLAIN_NOTES": str(tmp_path / "notes"),
        "DJANGO_SETTINGS_MODULE": "plain.settings",
    }
    return folder, env


def replaced(file, old, new):
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def run(folder, env, *command):
    done = subprocess.run(
        [sys.executable, *command], check=False, cwd=folder, env=env, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(folder, env):
    """Run the project's own checks beside its worker."""
    log = folder / "worker.log"
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "plain.celery",
        "worker",
        "-c",
        "2",
        "-Q",
        "celery,loud",
        "-l",
        "INFO",
    ]
    with log.open("w") as out:
        worker = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: " ready." in log.read_text() or worker.poll() is not None, 20)
        assert "ALL HOLDS" in run(folder, env, "checks.py")
    finally:
        worker.terminate()
        assert worker.wait(20) == 0, log.read_text()


def test_the_projects_checks_hold_under_stock_celery(project, broker_url):
    """Else the test below would prove nothing."""
    folder, env = project
    check(folder, {**env, "CELERY_RESULT_BACKEND": broker_url})


def test_a_plain_project_changes_one_import_and_its_checks_hold(project):
    folder, env = project
    replaced(folder / "plain/celery.py", "from celery import Celery", "from celeriac import Celery")
    replaced(folder / "plain/settings.py", 'INSTALLED_APPS = ["plain"]', 'INSTALLED_APPS = ["plain", "celeriac"]')
    same, changed, _ = filecmp.cmpfiles(
        PLAIN, folder, ["plain/tasks.py", "plain/celery.py", "checks.py"], shallow=False
    )
    assert (same, changed) == (["plain/tasks.py", "checks.py"], ["plain/celery.py"])
    run(folder, env, "-m", "django", "migrate", "--no-input")
    check(folder, env)
    states = counted(env)
    assert states.keys() == {"succeeded", "dead"}
    assert states["dead"] == 2  # stubborn and noted_failure, as they are meant to
    assert states["succeeded"] > 30


def counted(env):
    database = json.loads(env["PLAIN_DATABASES"])["default"]
    with psycopg.connect(
        host=database["HOST"], port=database["PORT"], user=database["USER"], dbname=database["NAME"]
    ) as connection:
        return dict(connection.execute("SELECT state, count(*) FROM celeriac_job GROUP BY state").fetchall())
