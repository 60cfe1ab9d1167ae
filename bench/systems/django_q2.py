"""Django-Q2 over Valkey: one cluster of two workers. Its results are rows of the project's database."""

from __future__ import annotations

import sys

from systems import System, migrate


class DjangoQ2(System):
    title = "Django-Q2"
    guarantees = "a message in Valkey's memory, gone when taken: lost with its worker or with Valkey; result a row"
    distribution = "django-q2"
    requirements = ("django-q2", "redis", "Django", "psycopg[binary]")
    lock = "django_q2"
    pace = 1_500
    has_bulk = False
    apps = ("django_q",)
    tables = ("django_q_task",)

    def settings(self, valkey: str) -> dict[str, object]:
        # A timeout below retry is what it warns without.
        return {"Q_CLUSTER": {"name": "bench", "workers": 2, "timeout": 50, "retry": 60, "redis": valkey}}

    def setup(self) -> None:
        migrate()

    def worker_commands(self, processes: int) -> list[list[str]]:
        assert processes == 2, "the number is a setting"
        return [[sys.executable, "-m", "django", "qcluster"]]

    def enqueue_one(self, body: str, number: int) -> None:
        from django_q.tasks import async_task

        async_task(f"bodies.{body}", number)


SYSTEM = DjangoQ2()
