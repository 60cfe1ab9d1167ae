from __future__ import annotations

import subprocess
import sys

import pytest
from celery.schedules import crontab

from celeriac import Celery, Recurring
from celeriac.checks import check_schedules

NOOP = "tests.checks.noop"


def body():
    pass


@pytest.fixture
def told(monkeypatch):
    """What the check says of an app with these entries, as (id, message)."""

    def look(entries=None, **schedules):
        app = Celery("checked", set_as_current=False)
        app.conf.beat_schedule = entries or {}
        app.task(name=NOOP, shared=False)(body)
        for name, schedule in schedules.items():
            app.task(name=name, shared=False, schedule=schedule)(body)
        monkeypatch.setattr("celery._state.get_current_app", lambda: app)
        return [(message.id, message.msg) for message in check_schedules()]

    return look


def test_sound_ones_are_passed(told):
    assert told({"s": {"task": NOOP, "schedule": crontab(hour=3)}}, hourly=3600) == []


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"task": NOOP, "schedule": 0.5}, "once a second"),
        ({"task": NOOP}, "'task' and 'schedule'"),
        ({"task": NOOP, "schedule": 60, "args": (body,)}, "function"),
        ({"task": NOOP, "schedule": Recurring(60, misfire="never")}, "misfire is one of"),
    ],
)
def test_one_that_can_never_fire_is_an_error(told, entry, why):
    [(number, text)] = told({"nightly": entry, "sound": {"task": NOOP, "schedule": 60}})
    assert number == "celeriac.E005"
    assert text.startswith("Schedule nightly: ")
    assert why in text


def test_a_task_that_nobody_knows_is_a_warning(told):
    [(number, text)] = told({"s": {"task": "shop.tasks.gone", "schedule": 60}})
    assert (number, "shop.tasks.gone" in text) == ("celeriac.W002", True)


def test_a_tasks_schedule_that_is_left_out_is_a_warning(told):
    [(number, text)] = told({"s": {"task": NOOP, "schedule": 60}}, left=Recurring(5, name="s"))
    assert (number, "left out: left" in text) == ("celeriac.W002", True)


def test_it_touches_no_database_and_makes_no_app():
    """In a process of its own: here there is an app, and pytest-django is between us and the databases."""
    program = (
        "import django; django.setup()\n"
        "from django.core.checks import run_checks\n"
        "from celery import _state\n"
        "print([m.id for m in run_checks() if m.id.startswith('celeriac')])\n"
        "print(_state.default_app, _state._tls.current_app)\n"
        "import tests.shop.celery\n"
        "tests.shop.celery.app.conf.beat_schedule = {\n"
        "    'known': {'task': 'tests.shop.tasks.noop', 'schedule': 60},\n"
        "    'gone': {'task': 'tests.shop.tasks.gone', 'schedule': 60}}\n"
        "print([(m.id, m.msg[:15]) for m in run_checks() if m.id.startswith('celeriac')])\n"
    )
    env = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": "src:.", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", program], check=True, env=env, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[]", "None None", "[('celeriac.W002', 'Schedule gone: ')]"]
