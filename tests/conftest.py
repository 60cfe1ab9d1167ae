from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections

from celeriac.ledger import bell
from tests.servers import Postgres, Valkey
from tests.workers import Worker

DATABASES = {"default": "postgresql", "lite": "sqlite", "maria": "mariadb"}
WORKERS = pytest.StashKey[list[Worker]]()


# -- databases ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(request, tmp_path_factory) -> None:
    """Called once, before the first test that needs a database: pure tests start no server."""
    settings.DATABASES["lite"]["TEST"]["NAME"] = str(tmp_path_factory.mktemp("lite") / "test.sqlite3")
    # Even a run on SQLite alone has a `default`, and Django connects to it.
    settings.DATABASES["default"].update(request.getfixturevalue("postgres").settings)


@pytest.fixture(params=[pytest.param(alias, id=name) for alias, name in DATABASES.items()])
def ledger_alias(request) -> str:
    """Each database in turn; the test needs no django_db mark, but may have one for `transaction=True`."""
    if request.param not in settings.DATABASES:
        pytest.skip("no MariaDB at 127.0.0.1:3306 that lets root in without a password")
    return request.param


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Open exactly the database a `ledger_alias` case is about: the others are neither created nor flushed for it."""
    for item in items:
        alias = getattr(item, "callspec", None) and item.callspec.params.get("ledger_alias")
        if alias in settings.DATABASES:
            mark = item.get_closest_marker("django_db")
            kwargs = {**(mark.kwargs if mark else {}), "databases": [alias]}
            item.add_marker(pytest.mark.django_db(**kwargs), append=False)


#: Rooms whose tests take longest, the longest first.
LONG = ("tests/chaos/", "tests/integration/", "tests/playbook/")


class LongFirst:
    """Files of tests that wait for real processes come first: begun last, one of them is what all wait for.

    The chaos of the smoke test alone takes two minutes. (xdist's own order is by the number of tests.)
    """

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: next((n for n, room in enumerate(LONG) if room in item.nodeid), len(LONG)))


def pytest_collection_finish() -> None:
    """What is there by now stays: the collector need not look through it again and again, a tenth of all the time."""
    gc.collect()
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(LongFirst())  # after whoever puts the tests into a random order


@pytest.fixture
def database_env(transactional_db) -> dict[str, str]:
    """Environment in which `tests.settings` means this session's test databases."""
    databases = {alias: connections[alias].settings_dict for alias in connections}
    return {"CELERIAC_TEST_DATABASES": json.dumps(databases, default=str), "DJANGO_SETTINGS_MODULE": "tests.settings"}


@pytest.fixture
def pg_dsn(postgres, transactional_db) -> str:
    """libpq's address of the `default` test database, for connections outside Django's."""
    return postgres.dsn(connections["default"].settings_dict["NAME"])


@pytest.fixture(autouse=True)
def quiet_bell() -> Iterator[None]:
    """No connection of ours may be open when pytest-django drops the databases."""
    yield
    bell.close()


# -- brokers and workers -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    server = Valkey()
    yield server.url
    server.stop()


@pytest.fixture
def celery_worker_process(request, tmp_path: Path, database_env: dict[str, str]) -> Iterator[Callable[..., Worker]]:
    """Start real workers: `celery_worker_process("tests.shop.celery", "-c", "2", env={...}, ready="ready.")`.

    `ready` is a piece of the log line to wait for; None returns at once. Needs no django_db mark, but one with
    `databases=` where the worker's ledger is not the default.
    """
    workers = request.node.stash.setdefault(WORKERS, [])

    def start(
        app: str,
        *args: str,
        env: dict[str, str] | None = None,
        ready: str | None = " ready.",
        program: str = "worker",
    ) -> Worker:
        log = tmp_path / f"worker-{len(workers)}.log"
        worker = Worker(app, *args, env=database_env | (env or {}), log=log, program=program)
        workers.append(worker)
        if ready is not None:
            worker.wait_for(ready)
        return worker

    yield start
    for worker in workers:
        worker.end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    if report.failed:
        for worker in item.stash.get(WORKERS, []):
            report.sections.append((f"worker {worker.pid}: {worker.log}", worker.output))
    return report
