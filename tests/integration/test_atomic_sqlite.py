"""`atomic=True` on SQLite, where an atomic body holds the one write lock."""

from __future__ import annotations

import pytest
from celery import chain

from tests.integration.looking import attempts, ended, job, lines, settings_env, state
from tests.shop.atomic import flaky_sign_up, sign_up
from tests.shop.models import Customer
from tests.shop.tasks import note
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["lite"]),
    pytest.mark.usefixtures("lite", "worker"),
]


@pytest.fixture(scope="module")
def worker_env():
    return {"CELERIAC_TEST_LEDGER": "lite"} | settings_env(CELERY_IMPORTS=["tests.shop.atomic"])


def names() -> list[str]:
    return sorted(Customer.objects.using("lite").values_list("name", flat=True))


def test_effect_and_end_are_there_together(tmp_path):
    path = tmp_path / "notes"
    results = [sign_up.delay(f"Ada {n}", "enqueue", str(path)) for n in range(10)]
    assert {row.state for row in ended(*results, alias="lite")} == {"succeeded"}
    assert len(names()) == 10
    wait_until(lambda: lines(path).count("enqueued") == 10)


def test_a_body_that_fails_leaves_only_its_story(tmp_path):
    path = tmp_path / "notes"
    last = chain(sign_up.si("Ada", "fail"), note.si(str(path), "never")).apply_async()
    assert state(last, "lite") == ("dead", "upstream")
    assert [told.exception for told in attempts(last.parent, "lite")] == ["ValueError"]
    assert names() == []


def test_a_retry_undoes_the_attempt():
    result = flaky_sign_up.delay("Ada", 2)
    assert result.get(timeout=10) == 2
    assert names() == ["Ada"]
    assert job(result, "lite").attempt == 2


@pytest.mark.parametrize("then", ["die", "die before the commit"])
def test_a_process_that_is_killed_had_no_effect(then, tmp_path):
    path = tmp_path / "notes"
    result = sign_up.delay("Ada", then, str(path))
    assert result.get(timeout=15) == "Ada"
    assert lines(path) == ["run", "run"]
    assert names() == ["Ada"]


@pytest.mark.parametrize("then", ["violate", "return an object", "close"])
def test_what_cannot_be_committed_is_undone(then):
    result = sign_up.delay("Ada", then)
    assert ended(result, alias="lite")[0].state == "dead"
    assert names() == []
