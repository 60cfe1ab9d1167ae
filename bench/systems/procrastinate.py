"""Procrastinate over PostgreSQL: two workers of one job at a time each, its default."""

from __future__ import annotations

from collections.abc import Iterable

from systems import IN_STAND, POSTGRES, System, program

if IN_STAND:
    import bodies
    import procrastinate

    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=POSTGRES))
    TASKS = {name: app.task(name=name)(body) for name, body in bodies.BODIES.items()}


class Procrastinate(System):
    title = "Procrastinate"
    guarantees = "a committed row; a killed worker's job stays in doing until the project's own code finds it"
    distribution = "procrastinate"
    requirements = ("procrastinate", "Django", "psycopg[binary]")
    lock = "procrastinate"
    pace = 300
    inserts = True
    tables = ("procrastinate_jobs",)
    unfinished = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"

    def setup(self) -> None:
        app.open()
        app.schema_manager.apply_schema()

    def worker_commands(self, processes: int) -> list[list[str]]:
        return [[program("procrastinate"), "--app", "systems.procrastinate.app", "worker"] for _ in range(processes)]

    def enqueue_one(self, body: str, number: int) -> None:
        TASKS[body].defer(number=number)

    def enqueue_many(self, body: str, numbers: Iterable[int]) -> None:
        TASKS[body].batch_defer(*[{"number": number} for number in numbers])

    def close(self) -> None:
        app.close()


SYSTEM = Procrastinate()
