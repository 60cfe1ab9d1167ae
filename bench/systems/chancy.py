"""Chancy over PostgreSQL: one worker, whose default executor has a process for each core."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from systems import IN_STAND, POSTGRES, System, program

if IN_STAND:
    import bodies
    from chancy import Chancy, Job, Queue

    app = Chancy(POSTGRES)


class OnChancy(System):
    title = "Chancy"
    guarantees = "a committed row; a killed worker's job is recovered by its peers; no result"
    distribution = "chancy"
    requirements = ("chancy[cli]", "Django", "psycopg[binary]")
    lock = "chancy"
    pace = 500
    inserts = True
    tables = ("chancy_jobs",)
    unfinished = "SELECT count(*) FROM chancy_jobs WHERE state IN ('pending', 'running', 'retrying')"

    def setup(self) -> None:
        async def make() -> None:
            async with Chancy(POSTGRES) as chancy:
                await chancy.migrate()
                # Without eager polling, which is not its default, a backlog goes by two jobs every five seconds.
                await chancy.declare(Queue("default", concurrency=2, eager_polling=True))

        asyncio.run(make())
        app.__enter__()

    def worker_commands(self, processes: int) -> list[list[str]]:
        assert processes == 2, "the queue's concurrency says so"
        return [[program("chancy"), "--app", "systems.chancy.app", "worker", "start"]]

    def enqueue_one(self, body: str, number: int) -> None:
        app.sync_push(self.job(body, number))

    def enqueue_many(self, body: str, numbers: Iterable[int]) -> None:
        for _ in app.sync_push_many([self.job(body, number) for number in numbers]):
            pass

    def job(self, body: str, number: int) -> Any:
        return Job.from_func(bodies.BODIES[body], kwargs={"number": number})

    def close(self) -> None:
        app.__exit__(None, None, None)


SYSTEM = OnChancy()
