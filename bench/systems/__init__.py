"""The interface of a system under measure: one file here for each, named in the order of `ORDER`.

An adapter's file is imported in three places: by `run.py`, which has none of the systems installed and only reads the
class; by a stand (`stand.py`), which asks for jobs; and by the system's own worker. So whatever needs the system itself
stands under `if IN_STAND:` or within a method.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

BENCH = Path(__file__).resolve().parent.parent

#: Whether the servers of a stand are there to connect to.
IN_STAND = "BENCH_DATABASES" in os.environ
VALKEY = os.environ.get("BENCH_VALKEY", "")
POSTGRES = os.environ.get("BENCH_POSTGRES", "")  # a URL

#: The best known first: QUICK takes as many as its time allows.
ORDER = (
    "bare",
    "celeriac_postgres",
    "celery_raw",
    "celery_production",
    "huey",
    "dramatiq",
    "rq",
    "taskiq",
    "procrastinate",
    "celeriac_sqlite",
    "django_q2",
    "pgqueuer",
    "django_tasks",
    "chancy",
    "dbos",
    "oban",
)


class System:
    """One system at its documented default, besides its two worker processes."""

    title: str
    #: What survives what, in one line for the table.
    guarantees: str
    #: The distribution whose version is shown.
    distribution: str
    #: Top-level requirements; `locks/<lock>.txt` has them all, with versions.
    requirements: tuple[str, ...]
    lock: str
    python = "3.11"
    measures: tuple[str, ...] = ("drain", "latency", "memory", "load", "enqueue", "realistic", "reconnecting")
    #: No-op jobs a second, roughly: how many jobs make a drain of some seconds. It sizes a run and judges nothing.
    pace = 1_000
    #: Whether `enqueue_many` is the system's own, not a loop over `enqueue_one`.
    has_bulk = True
    #: What the project must have in INSTALLED_APPS.
    apps: tuple[str, ...] = ()
    #: The Django database that `bodies.order` works on.
    shop = "default"

    def version(self) -> str:
        return version(self.distribution)

    def databases(self, postgres: dict[str, object], home: Path) -> dict[str, object]:
        """Return Django's DATABASES; *home* is a folder that goes with the stand."""
        del home
        return {"default": postgres}

    def settings(self, valkey: str) -> dict[str, object]:
        """Return further settings of the project."""
        del valkey
        return {}

    def setup(self) -> None:
        """Make the system's tables."""

    def worker_commands(self, processes: int) -> list[list[str]]:
        """Return the commands that start *processes* worker processes together."""
        raise NotImplementedError

    def start_worker(self, processes: int = 2) -> list[subprocess.Popen[str]]:
        """Start real workers, each command in a process group of its own; its folder is bench/."""
        return [
            subprocess.Popen(
                command,
                cwd=BENCH,
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            for command in self.worker_commands(processes)
        ]

    def enqueue_one(self, body: str, number: int) -> None:
        """Ask for one job: *body* is noop, stamp or order."""
        raise NotImplementedError

    def enqueue_many(self, body: str, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.enqueue_one(body, number)

    def atomic(self) -> AbstractContextManager[object] | None:
        """Return a transaction that `enqueue_one` takes part in, if there is such a thing."""
        return None

    #: Whether a call is an INSERT into PostgreSQL; then a bare one is measured beside it.
    inserts = False

    def row(self, id_: UUID) -> tuple[str, list[object]]:
        """Return that bare INSERT and its values: of a row like Celeriac's, in a table with two indexes."""
        from measures.limits import ONE

        return ONE, [id_]

    #: Tables of PostgreSQL that have the jobs.
    tables: tuple[str, ...] = ()
    #: Counts the jobs whose end PostgreSQL has no record of, of {count}; empty where nothing is recorded there.
    unfinished = ""

    def left(self, count: int, connection: Any) -> int | None:
        """Return how many of *count* jobs have no recorded end; None if the system records none one could count."""
        return connection.execute(self.unfinished.format(count=count)).fetchone()[0] if self.unfinished else None

    def clear(self) -> None:
        """Forget all jobs; no worker runs."""
        import psycopg

        address = urlsplit(VALKEY)
        with socket.create_connection((address.hostname, address.port), timeout=5) as valkey:
            valkey.sendall(b"FLUSHALL\r\n")
            valkey.recv(16)
        if self.tables:
            with psycopg.connect(POSTGRES, autocommit=True) as connection:
                connection.execute(f"TRUNCATE {', '.join(self.tables)} CASCADE")

    def close(self) -> None:
        """Leave nothing behind that would keep this process alive."""


def program(name: str) -> str:
    """Return the path of a script of the system's environment."""
    return str(Path(sys.executable).parent / name)


def django_setup() -> None:
    """Make the shop's project ready; the databases are in the environment."""
    import django
    from django.apps import apps

    if not apps.ready:
        django.setup()


def migrate() -> None:
    from django.core.management import call_command

    django_setup()
    for alias in json.loads(os.environ["BENCH_DATABASES"]):
        call_command("migrate", database=alias, verbosity=0)


def load(name: str) -> System:
    return importlib.import_module(f"systems.{name}").SYSTEM


def celery_worker(system: System, processes: int) -> list[list[str]]:
    """Return the command of one Celery worker with so many processes, for the app in the module of *system*."""
    command = [sys.executable, "-m", "celery", "-A", f"{type(system).__module__}:app", "worker"]
    return [[*command, "-c", str(processes), "-l", "WARNING"]]
