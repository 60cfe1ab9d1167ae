"""One worker a module where a module needs no other; what they say is shown with a failure."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from django.db import connections
from kombu import pools

from celeriac.ledger.models import Job
from tests.integration.looking import settings_env
from tests.shop.celery import app
from tests.waiting import wait_until
from tests.workers import Worker as WorkerProcess

MODULE_WORKER = pytest.StashKey[WorkerProcess]()


@pytest.fixture(scope="module")
def worker_args() -> tuple[str, ...]:
    """Override it in a module whose worker is another."""
    return ("-c", "2")


@pytest.fixture(scope="module")
def worker_env() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def worker(django_db_setup, worker_args, worker_env, request, tmp_path_factory) -> Iterator[WorkerProcess]:
    """The module's worker: prefork, two slots, no broker."""
    databases = {alias: connections[alias].settings_dict for alias in connections}
    env = {
        "CELERIAC_TEST_DATABASES": json.dumps(databases, default=str),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        **worker_env,
    }
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    process = WorkerProcess("tests.shop.celery", *worker_args, env=env, log=log)
    request.node.stash[MODULE_WORKER] = process
    try:
        process.wait_for(" ready.")
        yield process
    finally:
        process.end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    module = item.getparent(pytest.Module)
    process = module.stash.get(MODULE_WORKER, None) if module else None
    if report.failed and process is not None:
        report.sections.append((f"the module's worker {process.pid}", process.output[-8000:]))
    return report


@pytest.fixture(autouse=True)
def settled(request, transactional_db) -> Iterator[None]:
    """No job of one test may still run in the next, where the tables were emptied under it."""
    alias = request.getfixturevalue("lite") if "lite" in request.fixturenames else "default"
    yield
    if MODULE_WORKER in request.node.getparent(pytest.Module).stash:
        running = Job.objects.using(alias).filter(state="running")
        wait_until(lambda: not running.exists(), 20)


@pytest.fixture
def lite(settings) -> Iterator[str]:
    """The ledger is SQLite, here; the module marks `databases=["lite"]` and its worker gets CELERIAC_TEST_LEDGER."""
    settings.CELERIAC = {"DATABASE": "lite"}
    yield "lite"


@pytest.fixture
def broker(valkey_url: str) -> Iterator[str]:
    """An empty Valkey as the broker of this process's app; give a worker `broker_env`."""
    redis = pytest.importorskip("redis")
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
    _use_broker(valkey_url)
    yield valkey_url
    _use_broker("memory://")


def _use_broker(url: str) -> None:
    app._pool = None
    pools.reset()
    app.amqp._producer_pool = None
    app.conf.broker_url = url


@pytest.fixture
def broker_env(broker: str) -> dict[str, str]:
    return settings_env(CELERY_BROKER_URL=broker)
