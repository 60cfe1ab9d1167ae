"""Celeriac over PostgreSQL, no broker: all settings at their defaults."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from contextlib import AbstractContextManager
from uuid import UUID

from systems import BENCH, IN_STAND, System, celery_worker, django_setup, migrate

if IN_STAND:
    django_setup()
    import bodies

    from celeriac import Celery

    app = Celery("bench")
    TASKS = {name: app.task(name=f"bench.{name}")(body) for name, body in bodies.BODIES.items()}


#: What a call writes, where it writes it.
SAME_ROW = """
INSERT INTO celeriac_job (id, task, queue, priority, args, kwargs, headers, attempt, waits_for, reason, state, run_at,
    created_at, losses, claim_no)
VALUES (%s, %s, %s, %s, %s, %s, %s, 0, 0, '', 'ready', now(), now(), 0, 0)
"""


class Celeriac(System):
    title = "Celeriac, PostgreSQL"
    guarantees = "a committed row, in the caller's transaction; survives worker, broker and host; result kept"
    distribution = "celery"
    requirements = ("Django", "celery>=5.6,<6", "psycopg[binary]")
    lock = "celeriac"
    measures = (*System.measures, "growth", "soak")
    pace = 10_000
    apps = ("celeriac",)
    inserts = True
    tables = ("celeriac_job",)
    unfinished = "SELECT count(*) FROM celeriac_job WHERE finished_at IS NULL"

    def version(self) -> str:
        git = ["git", "-C", str(BENCH), "describe", "--always", "--dirty"]
        commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
        return f"{commit or '?'} on Celery {super().version()}"

    def setup(self) -> None:
        migrate()

    def worker_commands(self, processes: int) -> list[list[str]]:
        return celery_worker(self, processes)

    def enqueue_one(self, body: str, number: int) -> None:
        TASKS[body].delay(number)

    def enqueue_many(self, body: str, numbers: Iterable[int]) -> None:
        task = TASKS[body]
        app.enqueue_many(task.s(number) for number in numbers)

    def atomic(self) -> AbstractContextManager[object]:
        from django.db import transaction

        return transaction.atomic()

    def row(self, id_: UUID) -> tuple[str, list[object]]:
        return SAME_ROW, [id_, "bench.noop", "celery", 0, "[1]", "{}", "{}"]

    def close(self) -> None:
        from celeriac.ledger import bell

        bell.close()


SYSTEM = Celeriac()
