"""Oban-py over PostgreSQL: two `oban start`, queues of ten coroutines each as in its documentation."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterable

from systems import IN_STAND, POSTGRES, System, program

if IN_STAND:
    import bodies
    from oban import Oban, job

    @job()
    async def noop(number: int) -> None:
        bodies.noop(number)

    @job()
    async def stamp(number: int) -> None:
        bodies.stamp(number)

    @job()
    async def order(number: int) -> None:
        # Django's ORM blocks.
        await asyncio.to_thread(bodies.order, number)

    JOBS = {"noop": noop, "stamp": stamp, "order": order}


class OnOban(System):
    title = "Oban-py"
    guarantees = "a committed row; a killed worker's job is rescued by its peers; no result"
    distribution = "oban"
    requirements = ("oban", "Django<6", "psycopg[binary]")
    lock = "oban"
    python = "3.12"
    pace = 500
    inserts = True
    tables = ("oban_jobs",)
    unfinished = "SELECT count(*) FROM oban_jobs WHERE state <> 'completed'"

    def setup(self) -> None:
        subprocess.run([program("oban"), "install", "--dsn", POSTGRES], check=True, stdout=subprocess.DEVNULL)
        self.loop = asyncio.new_event_loop()
        self.pool = self.loop.run_until_complete(Oban.create_pool(dsn=POSTGRES))
        self.oban = Oban(pool=self.pool)

    def worker_commands(self, processes: int) -> list[list[str]]:
        command = [program("oban"), "start", "--dsn", POSTGRES, "--queues", "default:10", "--node"]
        return [[*command, f"bench-{number}"] for number in range(processes)]

    def enqueue_one(self, body: str, number: int) -> None:
        # Not the job's own enqueue(): in 0.7.0 it wraps the arguments twice.
        self.loop.run_until_complete(self.oban.enqueue(JOBS[body].new(number)))

    def enqueue_many(self, body: str, numbers: Iterable[int]) -> None:
        self.loop.run_until_complete(self.oban.enqueue_many([JOBS[body].new(number) for number in numbers]))

    def close(self) -> None:
        self.loop.run_until_complete(self.pool.close())


SYSTEM = OnOban()
