"""`self.request` looks as it does under stock Celery: the same task, the same call, both ways."""

from __future__ import annotations

import os
import sys

import celery
import pytest

from tests.integration.looking import settings_env
from tests.shop.tasks import full_request
from tests.waiting import wait_until
from tests.workers import Worker

pytestmark = pytest.mark.django_db(transaction=True)

CALLS = {
    "bare": {},
    "with everything": {
        **{"task_id": "a-name", "headers": {"tenant": "acme"}, "shadow": "other", "time_limit": 30},
        **{"soft_time_limit": 20, "priority": 3, "argsrepr": "(…)", "expires": 3600, "ignore_result": False},
    },
    "with callbacks": {"link": celery.signature("tests.shop.tasks.noop"), "link_error": celery.signature("nowhere")},
}
STOCK = """
import os
from celery import Celery
app = Celery("stock", broker=os.environ["STOCK"], backend=os.environ["STOCK"])
app.conf.task_default_queue = "stock"
import tests.shop.tasks
"""
#: What differs for a reason: the row has no exchange, and a durable call no reply queue.
OTHER = {"id", "correlation_id", "root_id", "hostname", "origin", "reply_to", "delivery_info", "expires", "timelimit"}
OTHER |= {"chord", "stack", "properties", "_protected", "children", "argsrepr", "kwargsrepr", "lang", "args", "kwargs"}


@pytest.fixture(scope="module")
def stock(valkey_url, tmp_path_factory):
    """The same tasks in an app and a worker of stock Celery."""
    folder, url = tmp_path_factory.mktemp("stock"), valkey_url.removesuffix("/0") + "/6"
    (folder / "stockapp.py").write_text(STOCK)
    env = {"STOCK": url, "DJANGO_SETTINGS_MODULE": ""}
    log = folder / "log"
    # Worker puts our sources first in the path; the app is found by its folder.
    worker = Worker("stockapp", "-P", "solo", "-Q", "stock", "--workdir", str(folder), env=env, log=log)
    worker.wait_for(" ready.")
    with celery.Celery("stock", broker=url, backend=url, set_as_current=False) as app:
        yield app
    worker.end()


@pytest.fixture
def ours(celery_worker_process, broker_env):
    return celery_worker_process("tests.shop.celery", "-P", "solo", env=broker_env)


@pytest.mark.parametrize("name", CALLS)
def test_the_request_has_what_stock_celerys_has(name, stock, worker):
    options = CALLS[name]
    stocks = stock.send_task(full_request.name, queue="stock", **options).get(timeout=15)
    ours = full_request.apply_async(**options).get(timeout=15)
    missing = stocks.keys() - ours.keys()
    assert not missing
    differing = {key: (stocks[key], ours[key]) for key in stocks.keys() - OTHER if stocks[key] != ours[key]}
    assert not differing
    assert ours["id"] == ours["root_id"]


def test_nothing_is_left_of_imports():
    assert sys.executable
    assert os.environ is not None
    assert settings_env
    assert wait_until(lambda: True)
