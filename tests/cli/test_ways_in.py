"""The command as it is really started: by Django, by Celery, in a pipe, where things are missing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from tests.ledger_helpers import Ledger
from tests.workers import ROOT

DJANGO = [sys.executable, "-m", "django", "jobs"]
CELERY = [sys.executable, "-m", "celery", "-A", "tests.shop.celery", "jobs"]
WAYS = pytest.mark.parametrize("way", [DJANGO, CELERY], ids=["django", "celery"])

pytestmark = pytest.mark.django_db(transaction=True, databases=["lite"])


@pytest.fixture
def start(database_env):
    """Run a command in a process of its own; return what it did."""

    def run(command, *args, **more):
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        base = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR"}}
        env = {**base, **database_env, "PYTHONPATH": path, "CELERIAC_TEST_LEDGER": "lite", **more}
        return subprocess.run(
            [*command, *map(str, args)], cwd=ROOT, env=env, capture_output=True, text=True, timeout=50, check=False
        )

    return run


def dies(alias):
    return Ledger(alias).at("dead", task="tests.shop.tasks.add", args="[1,2]", exception="shop.Timeout")


@pytest.fixture
def dead(transactional_db):
    return dies("lite")


@WAYS
def test_both_say_the_same(ledger_alias, start, way):
    dead = dies(ledger_alias)
    done = start(way, "list", "--json", CELERIAC_TEST_LEDGER=ledger_alias)
    assert (done.stderr, done.returncode) == ("", 0)
    [job] = json.loads(done.stdout)
    assert (job["id"], job["state"]) == (str(dead.id), "dead")


@pytest.mark.parametrize("way", [DJANGO, CELERY], ids=["django", "celery"])
def test_schedules_have_the_same_ways_in(start, transactional_db, way):
    way = [*way[:-1], "schedules"]
    done = start(way, "list", "--json")
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)
    missing = start(way, "run", "nightly")
    assert (missing.stdout, missing.returncode) == ("", 1)
    assert "Traceback" not in missing.stderr


@WAYS
def test_both_know_the_tasks_that_arguments_have_to_fit(start, dead, way):
    command = way if way is CELERY else [sys.executable, "-c", AS_MANAGE, "jobs"]
    refused = start(command, "replay", dead.id, "--args", "[1]")
    assert refused.returncode == 1
    assert re.search(r"CommandError: Task tests.shop.tasks.add does not take these arguments: .*'y'", refused.stderr)
    assert "Traceback" not in refused.stderr


#: As a project's manage.py, whose package imports its Celery app.
AS_MANAGE = """
import sys
import tests.shop.celery
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""


@WAYS
def test_a_mistake_has_a_status_and_no_traceback(start, way):
    for typed, status in ((["show", "deadbeef"], 1), (["list", "--stat"], 2), (["nonsense"], 2)):
        done = start(way, *typed)
        assert done.returncode == status
        assert done.stdout == ""
        assert "Traceback" not in done.stderr


@WAYS
def test_help_is_there(start, way):
    for typed in ([], ["--help"], ["replay", "-h"]):
        done = start(way, *typed, LC_ALL="C", PYTHONIOENCODING="ascii")
        assert done.returncode == 0, done.stderr
        assert " jobs" in done.stdout.splitlines()[0]


def test_an_ascii_terminal_gets_what_it_can_show(start, transactional_db):
    Ledger("lite").at("dead", task="shop.größe")
    done = start(DJANGO, "list", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert r"shop.gr\xf6\xdfe" in done.stdout


@pytest.mark.parametrize(
    ("typed", "env", "coloured"),
    [
        ([], {}, False),
        (["--force-color"], {}, True),
        (["--force-color"], {"NO_COLOR": "1"}, True),
        (["--no-color"], {}, False),
    ],
)
def test_colours(start, dead, typed, env, coloured):
    assert ("\x1b[" in start(DJANGO, "list", *typed, **env).stdout) == coloured


def test_the_reader_of_a_pipe_may_go(start, dead):
    shell = ["bash", "-c", f"{sys.executable} -m django jobs list --json --state all | true; exit ${{PIPESTATUS[0]}}"]
    done = start(shell)
    assert (done.stderr, done.returncode) == ("", 0)


def test_tables_that_are_missing_are_named(start, tmp_path):
    databases = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "empty")}}
    env = {"CELERIAC_TEST_DATABASES": json.dumps(databases), "CELERIAC_TEST_LEDGER": "default"}
    for command in ("list", "tail"):
        done = start(DJANGO, command, **env)
        assert done.returncode == 1
        assert "Run: python manage.py migrate celeriac" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_database_that_is_away_is_named(start):
    nowhere = {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1", "PORT": 1}
    env = {"CELERIAC_TEST_DATABASES": json.dumps({"default": nowhere}), "CELERIAC_TEST_LEDGER": "default"}
    done = start(DJANGO, "list", **env)
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: The ledger's database 'default' cannot be used: ")


def test_a_celery_without_django_still_works(start, tmp_path):
    env = {"DJANGO_SETTINGS_MODULE": "", "CELERY_CONFIG_MODULE": ""}
    assert "jobs" in start([sys.executable, "-m", "celery", "--help"], **env).stdout
    done = start([sys.executable, "-m", "celery", "jobs", "list"], **env)
    assert done.returncode == 1
    assert "celery -A yourproject jobs" in done.stderr


def test_only_celerys_plugin_is_imported_with_it():
    code = "import celery.bin.celery, sys; assert not [m for m in sys.modules if m.startswith('celeriac.ledger')]"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
