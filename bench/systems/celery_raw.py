"""Celery as it comes: early acks, prefetch of 4 a process, results ignored for want of a backend."""

from __future__ import annotations

from systems import IN_STAND, VALKEY, System, celery_worker

if IN_STAND:
    import bodies
    from celery import Celery

    app = Celery("bench", broker=VALKEY)
    TASKS = {name: app.task(name=f"bench.{name}")(body) for name, body in bodies.BODIES.items()}


class CeleryRaw(System):
    title = "Celery, raw"
    guarantees = "a message in Valkey's memory, acked before it runs: lost with its worker or with Valkey; no result"
    distribution = "celery"
    requirements = ("Django", "celery[redis]>=5.6,<6", "django-celery-results", "psycopg[binary]")
    lock = "celery"
    pace = 1_500
    has_bulk = False

    def worker_commands(self, processes: int) -> list[list[str]]:
        return celery_worker(self, processes)

    def enqueue_one(self, body: str, number: int) -> None:
        TASKS[body].delay(number)


SYSTEM = CeleryRaw()
