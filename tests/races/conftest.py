from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connections, transaction

from celeriac.ledger import bell
from celeriac.worker import board as boards
from celeriac.worker import executor
from celeriac.worker.board import Board, now
from celeriac.worker.claimer import Claimer
from celeriac.worker.flusher import Unfinished
from celeriac.worker.report import Done
from tests.ledger_helpers import Ledger
from tests.shop.celery import app
from tests.waiting import wait_until
from tests.worker.claims import a_worker

ME = UUID("00000000-0000-4000-8000-000000000001")
OTHER = UUID("00000000-0000-4000-8000-000000000002")
PATIENCE = 20.0  # seconds until a choreography has failed


class Actor:
    """A thread with a database connection of its own, that does one thing after the other."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._open: Any = None

    def starts(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        return self._pool.submit(act, *args, **kwargs)

    def does(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self.starts(act, *args, **kwargs).result(PATIENCE)

    def begins(self) -> None:
        self._open = transaction.atomic()
        self.does(self._open.__enter__)

    def commits(self) -> None:
        self.does(self._open.__exit__, None, None, None)
        self._open = None

    def rolls_back(self) -> None:
        self.does(transaction.set_rollback, True)
        self.commits()

    def leaves(self) -> None:
        if self._open is not None:
            self.rolls_back()
        self.does(connections.close_all)
        self._pool.shutdown()


@pytest.fixture
def actor(transactional_db) -> Iterator[Callable[[], Actor]]:
    actors: list[Actor] = []

    def enters() -> Actor:
        actors.append(Actor())
        return actors[-1]

    yield enters
    for one in actors:
        one.leaves()


@pytest.fixture
def ledger(transactional_db) -> Ledger:
    return Ledger("default")


@pytest.fixture
def blocked(transactional_db) -> Callable[[int], None]:
    """Return when so many connections stand in line for a lock."""

    def waiting() -> int:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND state = 'active'")
            return int(cursor.fetchone()[0])

    return lambda count=1: wait_until(lambda: waiting() >= count, PATIENCE)


@pytest.fixture
def heard(pg_dsn):
    """What a worker elsewhere would hear: payloads, up to and with the one named."""
    with psycopg.connect(pg_dsn, autocommit=True) as connection:
        connection.execute(f"LISTEN {bell.READY}")
        connection.execute(f"LISTEN {bell.DONE}")

        def until(last: str) -> list[str]:
            payloads = []
            for note in connection.notifies(timeout=PATIENCE):
                payloads.append(note.payload)
                if note.payload == last:
                    return payloads
            raise AssertionError(f"{last!r} was never rung, but {payloads}")

        yield until


@pytest.fixture
def slow_poll(settings):
    """So that whoever misses a ring waits longer than the test does."""
    settings.CELERIAC = {**settings.CELERIAC, "POLL_SECONDS": 300.0}


class Prefork:
    """A pool whose process is whoever calls what it was given."""

    __module__ = "prefork"
    num_processes = 2

    def __init__(self):
        self.given = []

    def apply_async(self, run, args, *, accept_callback, callback, error_callback, **_):
        accept_callback(4711, None)
        self.given.append((lambda: run(*args), callback, error_callback))
        return object()

    def terminate_job(self, pid, signal):
        raise NotImplementedError


@pytest.fixture
def pool():
    return Prefork()


@pytest.fixture
def board(monkeypatch):
    made = Board(4)
    made.fresh_until = now() + 60
    made.owner = os.getppid()  # the claims are run by threads of what would be the pool's process
    monkeypatch.setattr(boards, "board", made)
    return made


@pytest.fixture
def claimer(pool, board, ledger):
    made = Claimer(a_worker(pool, app=app), ME, board, on_scheduled=None)
    yield made
    made.listener.close()


class Flusher:
    """Writes nothing; what it was told."""

    def __init__(self):
        self.ended, self.released = [], []

    def begin(self, pending, slot):
        return Unfinished(pending, slot)

    def put(self, done):
        self.ended.append(done.job)

    def release(self, jobs):
        self.released += jobs

    def end(self, unfinished):
        pass

    def wait(self):
        pass


@pytest.fixture
def flusher(monkeypatch):
    made = Flusher()
    monkeypatch.setattr(executor, "flusher", lambda: made)
    return made


@pytest.fixture
def bodies(monkeypatch):
    """The jobs whose bodies started."""
    started = []
    monkeypatch.setattr(executor, "run_job", lambda _app, job, *_: started.append(job) or Done(job))
    return started
