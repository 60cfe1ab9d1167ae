"""PgQueuer over PostgreSQL by asyncpg, its documented driver: two processes. It runs coroutines only."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterable
from contextlib import asynccontextmanager
from typing import Any

from systems import IN_STAND, POSTGRES, System, program

if IN_STAND:
    import bodies

    @asynccontextmanager
    async def main() -> Any:
        """Make a worker: what `pgq run` is told to call."""
        import asyncpg
        from pgqueuer import PgQueuer
        from pgqueuer.db import AsyncpgDriver

        connection = await asyncpg.connect(POSTGRES)
        pgq = PgQueuer(AsyncpgDriver(connection))

        @pgq.entrypoint("noop")
        async def noop(job: Any) -> None:
            bodies.noop(int(job.payload))

        @pgq.entrypoint("stamp")
        async def stamp(job: Any) -> None:
            bodies.stamp(int(job.payload))

        @pgq.entrypoint("order")
        async def order(job: Any) -> None:
            # Django's ORM blocks: its documentation says to_thread.
            await asyncio.to_thread(bodies.order, int(job.payload))

        yield pgq
        await connection.close()


class PgQueuer(System):
    title = "PgQueuer"
    guarantees = "a committed row; a killed worker's job is taken over after 30 s; no result"
    distribution = "pgqueuer"
    requirements = ("pgqueuer[asyncpg]", "typer<0.25", "Django", "psycopg[binary]")
    lock = "pgqueuer"
    pace = 1_000
    inserts = True
    tables = ("pgqueuer", "pgqueuer_log")
    unfinished = "SELECT count(*) FROM pgqueuer"

    def setup(self) -> None:
        import psycopg
        from pgqueuer.db import SyncPsycopgDriver
        from pgqueuer.queries import SyncQueries

        subprocess.run([program("pgq"), "--pg-dsn", POSTGRES, "install"], check=True, stdout=subprocess.DEVNULL)
        # Given to the workers as well: the factory connects by itself, `pgq run` may not.
        os.environ["PGDSN"] = POSTGRES
        self.connection = psycopg.connect(POSTGRES, autocommit=True)
        self.queries = SyncQueries(SyncPsycopgDriver(self.connection))

    def worker_commands(self, processes: int) -> list[list[str]]:
        return [[program("pgq"), "run", "systems.pgqueuer:main"] for _ in range(processes)]

    def enqueue_one(self, body: str, number: int) -> None:
        self.queries.enqueue(body, str(number).encode())

    def enqueue_many(self, body: str, numbers: Iterable[int]) -> None:
        payloads = [str(number).encode() for number in numbers]
        self.queries.enqueue([body] * len(payloads), payloads, [0] * len(payloads))

    def close(self) -> None:
        self.connection.close()


SYSTEM = PgQueuer()
