"""Django's own Tasks (django-tasks-db, the backend in the database): two db_worker commands."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

from systems import IN_STAND, System, django_setup, migrate

if IN_STAND:
    django_setup()
    import bodies

    try:
        from django.tasks import task
    except ImportError:  # before Django 6
        from django_tasks import task

    @task()
    def noop(number: int) -> None:
        bodies.noop(number)

    @task()
    def stamp(number: int) -> None:
        bodies.stamp(number)

    @task()
    def order(number: int) -> None:
        bodies.order(number)

    TASKS = {"noop": noop, "stamp": stamp, "order": order}


class DjangoTasks(System):
    title = "django-tasks-db"
    guarantees = "a committed row, in the caller's transaction; a killed worker's job stays running; result kept"
    distribution = "django-tasks-db"
    requirements = ("django-tasks-db[compat]", "Django<6", "psycopg[binary]")
    lock = "django_tasks"
    pace = 150
    has_bulk = False
    apps = ("django_tasks_db",)
    inserts = True
    tables = ("django_tasks_database_dbtaskresult",)
    unfinished = "SELECT count(*) FROM django_tasks_database_dbtaskresult WHERE finished_at IS NULL"

    def settings(self, valkey: str) -> dict[str, object]:
        del valkey
        return {"TASKS": {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}}

    def setup(self) -> None:
        migrate()

    def worker_commands(self, processes: int) -> list[list[str]]:
        return [[sys.executable, "-m", "django", "db_worker"] for _ in range(processes)]

    def enqueue_one(self, body: str, number: int) -> None:
        TASKS[body].enqueue(number)

    def atomic(self) -> AbstractContextManager[object]:
        from django.db import transaction

        return transaction.atomic()


SYSTEM = DjangoTasks()
