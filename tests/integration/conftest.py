"""One worker a module where a module needs no other; what they say is shown with a failure."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import count

import pytest
from django.db import connections
from kombu import pools

from celeriac.ledger.models import Job, Lease, Worker
from tests.conftest import WORKERS
from tests.integration.looking import settings_env
from tests.integration.proxy import Proxy
from tests.shop.celery import app
from tests.waiting import wait_until
from tests.workers import Worker as WorkerProcess

MODULE_WORKER = pytest.StashKey[WorkerProcess]()
NUMBERS = count(1)


#: A warm shutdown takes Celery seconds, and most tests are not about it; coverage of workers is written by one.
GRACE = 10.0 if "COVERAGE_PROCESS_CONFIG" in os.environ else 0.0


@pytest.fixture
def celery_worker_process(celery_worker_process, request):
    """As everywhere, but what still runs at the end of the test is killed."""
    yield celery_worker_process
    for process in request.node.stash[WORKERS]:
        process.end(grace=GRACE)


@pytest.fixture(scope="module")
def worker_env() -> dict[str, str]:
    """Override it in a module whose worker is another."""
    return {}


@pytest.fixture(scope="module")
def worker_slots() -> int:
    """One, in a module that has to know which process runs a body."""
    return 2


@pytest.fixture(scope="module")
def worker(
    django_db_setup, django_db_blocker, worker_env, worker_slots, request, tmp_path_factory
) -> Iterator[WorkerProcess]:
    """The module's worker: prefork, two slots, no broker unless the module says so."""
    databases = {alias: connections[alias].settings_dict for alias in connections}
    # It goes on while a test's tables are emptied. Whoever looks for a deadlock first gives way, and that is to be the
    # worker, which tries again, and not the test.
    sooner = {"OPTIONS": {"options": "-c deadlock_timeout=100ms"}}
    databases["default"] = {**databases["default"], **sooner}
    env = {
        "CELERIAC_TEST_DATABASES": json.dumps(databases, default=str),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        **worker_env,
    }
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    process = WorkerProcess("tests.shop.celery", "-c", str(worker_slots), env=env, log=log)
    request.node.stash[MODULE_WORKER] = process
    try:
        process.wait_for(" ready.")
        yield process
    finally:
        process.end(grace=GRACE)
        # Killed, it left its row; and its lease, if it renewed itself after the last test's tables were emptied.
        with django_db_blocker.unblock():
            for model in (Worker, Lease):
                model.objects.using(worker_env.get("CELERIAC_TEST_LEDGER", "default")).all().delete()


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
def lite(settings) -> str:
    """The ledger is SQLite, here; the module marks `databases=["lite"]` and its worker gets CELERIAC_TEST_LEDGER."""
    settings.CELERIAC = {"DATABASE": "lite"}
    return "lite"


@pytest.fixture(scope="module")
def broker_url(valkey_url: str) -> str:
    """A Valkey database that no other module uses."""
    return f"{valkey_url.removesuffix('/0')}/{next(NUMBERS)}"


@pytest.fixture(scope="module")
def broker_env(broker_url: str) -> dict[str, str]:
    return settings_env(CELERY_BROKER_URL=broker_url)


@pytest.fixture
def broker(broker_url: str) -> Iterator[str]:
    """The module's Valkey as the broker of this process's app; workers get `broker_env`."""
    before = app.conf.broker_url
    _use_broker(broker_url)
    yield broker_url
    _use_broker(before)


def _use_broker(url: str) -> None:
    app._pool = None
    pools.reset()
    app.amqp._producer_pool = None
    app.conf.broker_url = url


# -- a database that can go away


@pytest.fixture
def proxy(postgres):
    proxy = Proxy(postgres.port)
    yield proxy
    proxy.cut()


@pytest.fixture
def by_proxy(proxy, database_env):
    """Environment of a worker that reaches its ledger by the proxy only."""
    databases = json.loads(database_env["CELERIAC_TEST_DATABASES"])
    databases["default"] |= {"HOST": "127.0.0.1", "PORT": proxy.port}
    assert databases["default"]["NAME"] == connections["default"].settings_dict["NAME"]
    return {"CELERIAC_TEST_DATABASES": json.dumps(databases)}
