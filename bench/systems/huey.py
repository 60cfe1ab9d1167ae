"""Huey over Valkey, two worker processes."""

from __future__ import annotations

from systems import IN_STAND, VALKEY, System, program

if IN_STAND:
    import bodies
    from huey import RedisHuey

    huey = RedisHuey("bench", url=VALKEY)
    TASKS = {name: huey.task(name=name)(body) for name, body in bodies.BODIES.items()}


class Huey(System):
    title = "Huey"
    guarantees = "a message in Valkey's memory, gone when taken: lost with its worker or with Valkey"
    distribution = "huey"
    requirements = ("huey", "redis", "Django", "psycopg[binary]")
    lock = "huey"
    pace = 2_000
    has_bulk = False

    def worker_commands(self, processes: int) -> list[list[str]]:
        # Threads are its default; processes, so that both cores may be used, as with the others. -q: no line per job.
        return [[program("huey_consumer"), "systems.huey.huey", "-w", str(processes), "-k", "process", "-q"]]

    def enqueue_one(self, body: str, number: int) -> None:
        TASKS[body](number)


SYSTEM = Huey()
