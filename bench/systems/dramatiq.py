"""Dramatiq over Valkey: two processes of eight threads each, its default number."""

from __future__ import annotations

from systems import IN_STAND, VALKEY, System, program

if IN_STAND:
    import bodies
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(url=VALKEY)
    dramatiq.set_broker(broker)
    TASKS = {name: dramatiq.actor(body, actor_name=name) for name, body in bodies.BODIES.items()}


class Dramatiq(System):
    title = "Dramatiq"
    guarantees = "a message in Valkey's memory, acked after it ran: survives its worker, not Valkey; no result"
    distribution = "dramatiq"
    requirements = ("dramatiq[redis]", "Django", "psycopg[binary]")
    lock = "dramatiq"
    pace = 1_500
    has_bulk = False

    def worker_commands(self, processes: int) -> list[list[str]]:
        return [[program("dramatiq"), "systems.dramatiq", "--processes", str(processes)]]

    def enqueue_one(self, body: str, number: int) -> None:
        TASKS[body].send(number)


SYSTEM = Dramatiq()
