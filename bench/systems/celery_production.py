"""Celery as Django projects run it that do not want to lose jobs: late acks, prefetch 1, results in the database."""

from __future__ import annotations

from systems import IN_STAND, VALKEY, System, celery_worker, django_setup, migrate

if IN_STAND:
    django_setup()
    import bodies
    from celery import Celery

    app = Celery("bench", broker=VALKEY, backend="django-db")
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
    )
    TASKS = {name: app.task(name=f"bench.{name}")(body) for name, body in bodies.BODIES.items()}


class CeleryProduction(System):
    title = "Celery, production"
    guarantees = "a message in Valkey's memory, acked after it ran: survives its worker, not Valkey; result a row"
    distribution = "celery"
    requirements = ("Django", "celery[redis]>=5.6,<6", "django-celery-results", "psycopg[binary]")
    lock = "celery"
    pace = 300
    has_bulk = False
    apps = ("django_celery_results",)
    tables = ("django_celery_results_taskresult",)
    unfinished = "SELECT {count} - count(*) FROM django_celery_results_taskresult WHERE status = 'SUCCESS'"

    def setup(self) -> None:
        migrate()

    def worker_commands(self, processes: int) -> list[list[str]]:
        return celery_worker(self, processes)

    def enqueue_one(self, body: str, number: int) -> None:
        TASKS[body].delay(number)


SYSTEM = CeleryProduction()
