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
#: The module's worker's row at the end of a test, and how often it had been taken for lost by then.
KNOWN = pytest.StashKey[tuple[Worker | None, int]]()
LOST = "was taken for lost"
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
    """Have no test disturbed by the tables that were emptied after the one before, while the module's worker lived on.

    No job of one test may still run in the next; nor may the worker find itself unknown there, take itself for lost,
    and give back what it had just claimed.
    """
    alias = request.getfixturevalue("lite") if "lite" in request.fixturenames else "default"
    stash = request.node.getparent(pytest.Module).stash
    if MODULE_WORKER in stash and KNOWN in stash:
        _make_known_again(stash[MODULE_WORKER], alias, *stash[KNOWN])
    yield
    if MODULE_WORKER in stash:
        running = Job.objects.using(alias).filter(state="running")
        wait_until(lambda: not running.exists(), 20)
        process = stash[MODULE_WORKER]
        stash[KNOWN] = Worker.objects.using(alias).filter(pid=process.pid).first(), process.output.count(LOST)


def _make_known_again(process: WorkerProcess, alias: str, row: Worker | None, losses: int) -> None:
    """Put the worker's row back, unless it renewed itself without one: then wait until it has got over that."""
    if row is not None:
        workers = Worker.objects.using(alias)
        workers.bulk_create([row], ignore_conflicts=True)
        if not workers.filter(id=row.id, started_at=row.started_at).exists():
            wait_until(lambda: process.output.count(LOST) > losses)


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
