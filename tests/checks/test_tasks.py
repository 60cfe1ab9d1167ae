from __future__ import annotations

import pytest

from celeriac import Celery
from celeriac.checks import check_tasks
from tests.shop.celery import app


def body():
    pass


@pytest.fixture
def task():
    def make(**options):
        app.task(name="tests.checks.made", shared=False, **options)(body)

    yield make
    app.tasks.pop("tests.checks.made", None)


def told() -> list[tuple[str, str]]:
    return [(message.id, message.msg) for message in check_tasks() if "tests.checks.made" in message.msg]


@pytest.mark.parametrize("options", [{}, {"atomic": True}, {"atomic": "default"}])
def test_a_task_on_the_ledgers_database_may_be_atomic(task, options):
    task(**options)
    assert told() == []


def test_a_task_on_another_database_may_not(task, settings):
    task(atomic=True)
    settings.CELERIAC = {"DATABASE": "lite"}
    [(number, why)] = told()
    assert number == "celeriac.E003"
    assert "Set CELERIAC['DATABASE'] = 'default', or atomic='lite'" in why


def test_a_task_that_is_left_to_the_broker_may_not(task):
    task(atomic=True, durable=False)
    [(number, why)] = told()
    assert number == "celeriac.E003"
    assert "durable=False" in why


def test_a_mistaken_setting_is_anothers_to_tell(task, settings):
    task(atomic=True)
    settings.CELERIAC = {"DATABSE": "default"}
    assert told() == []


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"idempotency_key": "inv-{invoice}"}, "names 'invoice', which is not one of its arguments"),
        ({"max_retries": -1}, "max_retries must be"),
    ],
)
def test_a_task_that_cannot_be_made_is_told_of_by_name(monkeypatch, options, why):
    mistaken = Celery("mistaken", set_as_current=False)
    mistaken.task(name="tests.checks.made", shared=False, **options)(body)
    monkeypatch.setattr("celery._state.get_current_app", lambda: mistaken)
    [(number, text)] = told()
    assert number == "celeriac.E004"
    assert why in text
