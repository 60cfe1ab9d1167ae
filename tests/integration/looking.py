"""What the tests of real workers look at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from unittest import mock

import psycopg
from django.db import connection
from django.test.utils import CaptureQueriesContext

from celeriac.ledger.ids import job_id
from celeriac.ledger.models import Attempt, Job
from tests.waiting import wait_until

T = TypeVar("T")


def settings_env(**settings: object) -> dict[str, str]:
    """Environment of a worker whose Django settings hold these too."""
    return {"CELERIAC_TEST_SETTINGS": json.dumps(settings)}


def row_id(result: object) -> object:
    return job_id(getattr(result, "id", result))


def job(result: object, alias: str = "default") -> Job:
    return Job.objects.using(alias).get(id=row_id(result))


def ended(*results: object, timeout: float = 12.0, alias: str = "default") -> list[Job]:
    """Wait until all have ended; return their rows in that order."""
    ids = [row_id(result) for result in results]
    jobs = Job.objects.using(alias).filter(id__in=ids)
    seen = ("task", "state", "reason", "attempt", "losses", "claim_no", "waits_for", "run_at")
    try:
        wait_until(lambda: jobs.filter(finished_at__isnull=False).count() == len(set(ids)), timeout)
    except AssertionError:
        raise AssertionError(f"after {timeout} s: {list(jobs.values(*seen))}") from None
    found = jobs.in_bulk()
    return [found[id_] for id_ in ids]


def state(result: object, alias: str = "default") -> tuple[str, str]:
    """(state, reason) of a job that ends."""
    row = ended(result, alias=alias)[0]
    return row.state, row.reason


def now(result: object) -> tuple[str, str]:
    """(state, reason) at this moment: nobody else has to do anything for it."""
    row = job(result)
    return row.state, row.reason


def started(result: object, alias: str = "default") -> Job:
    """Wait until the job runs."""
    wait_until(lambda: Job.objects.using(alias).filter(id=row_id(result), state="running").exists())
    return job(result, alias)


def attempts(result: object, alias: str = "default") -> list[Attempt]:
    return list(Attempt.objects.using(alias).filter(job_id=row_id(result)).order_by("claim_no"))


def lines(path: Path | str) -> list[str]:
    path = Path(path)
    return path.read_text().splitlines() if path.exists() else []


def elsewhere(function: Callable[[], T]) -> T:
    """Call it in another thread, so on another connection and outside of any transaction open here."""

    def run() -> T:
        try:
            return function()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result(30)


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect what is sent to PostgreSQL: by Django's cursors, and the ledger's prepared statements past them."""
    sent: list[str] = []

    class Cursor(psycopg.Cursor):
        def execute(self, query, *args, **kwargs):
            sent.append(str(query))
            return super().execute(query, *args, **kwargs)

    with mock.patch.object(psycopg, "Cursor", Cursor), CaptureQueriesContext(connection) as queries:
        yield sent
    sent.extend(query["sql"] for query in queries)
