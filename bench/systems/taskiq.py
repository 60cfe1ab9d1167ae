"""Taskiq over Valkey's streams, the broker its documentation recommends; synchronous bodies, in its threads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from systems import IN_STAND, VALKEY, System, program

if IN_STAND:
    import bodies
    from taskiq_redis import RedisStreamBroker

    broker = RedisStreamBroker(url=VALKEY)
    TASKS = {name: broker.task(task_name=name)(body) for name, body in bodies.BODIES.items()}


class Taskiq(System):
    title = "Taskiq"
    guarantees = "a message in Valkey's memory, acked after it ran: survives its worker, not Valkey; no result"
    distribution = "taskiq"
    requirements = ("taskiq", "taskiq-redis", "Django", "psycopg[binary]")
    lock = "taskiq"
    pace = 1_500
    has_bulk = False

    def setup(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(broker.startup())

    def clear(self) -> None:
        super().clear()
        # The consumer group went with the rest.
        self.loop.run_until_complete(broker.startup())

    def worker_commands(self, processes: int) -> list[list[str]]:
        return [[program("taskiq"), "worker", "systems.taskiq:broker", "--workers", str(processes)]]

    def enqueue_one(self, body: str, number: int) -> None:
        self.loop.run_until_complete(TASKS[body].kiq(number))

    def enqueue_many(self, body: str, numbers: Iterable[int]) -> None:
        async def ask() -> None:
            for number in numbers:
                await TASKS[body].kiq(number)

        self.loop.run_until_complete(ask())


SYSTEM = Taskiq()
