"""`self.request` looks as it does under stock Celery: the same task, the same call, both ways."""

from __future__ import annotations

import celery
import pytest

from tests.shop.tasks import full_request
from tests.workers import Worker

pytestmark = pytest.mark.django_db(transaction=True)

CALLS = {
    "bare": {},
    "with everything": {
        "task_id": "a-name",
        "headers": {"tenant": "acme"},
        "shadow": "other",
        "time_limit": 30,
        "soft_time_limit": 20,
        "priority": 3,
        "argsrepr": "(…)",
        "expires": 3600,
        "ignore_result": False,
    },
    "with callbacks": {"link": celery.signature("tests.shop.tasks.noop"), "link_error": celery.signature("nowhere")},
}
#: What differs for a reason: ids, the row that has no exchange, and a little more than stock Celery says.
OTHER = {"id", "correlation_id", "root_id", "hostname", "origin", "reply_to", "delivery_info", "expires"}
OTHER |= {
    "chord",
    "stack",
    "properties",
    "callbacks",
    "errbacks",
    "utc",
    "headers",
    "argsrepr",
    "kwargsrepr",
    "lang",
    "args",
    "kwargs",
}


@pytest.fixture(scope="module")
def stock(broker_url, tmp_path_factory):
    """The same tasks in an app and a worker of stock Celery."""
    env = {"STOCK": broker_url, "DJANGO_SETTINGS_MODULE": ""}
    worker = Worker("tests.shop.stock", "-P", "solo", env=env, log=tmp_path_factory.mktemp("stock") / "log")
    try:
        worker.wait_for(" ready.")
        with celery.Celery("stock", broker=broker_url, backend=broker_url, set_as_current=False) as app:
            yield app
    finally:
        worker.end(grace=0)


@pytest.mark.parametrize("name", CALLS)
def test_the_request_is_what_stock_celerys_is(name, stock, worker):
    options = CALLS[name]
    stocks = stock.tasks[full_request.name].apply_async(queue="stock", **options).get(timeout=15)
    ours = full_request.apply_async(**options).get(timeout=15)
    missing = stocks.keys() - ours.keys()
    assert not missing
    differing = {key: (stocks[key], ours[key]) for key in stocks.keys() - OTHER if stocks[key] != ours[key]}
    assert not differing
    assert ours["id"] == ours["root_id"]
    for kind in ("callbacks", "errbacks"):  # ours have their ids already
        assert [c["task"] for c in ours[kind] or ()] == [c["task"] for c in stocks[kind] or ()]
    assert (ours["headers"] or {}).get("tenant") == (stocks["headers"] or {}).get("tenant")
    assert ours["timelimit"] == stocks["timelimit"]
