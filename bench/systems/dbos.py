"""DBOS over PostgreSQL: a queue of workflows, two processes. This file is their program too: DBOS has no command."""

from __future__ import annotations

import os
import sys
import threading

from systems import IN_STAND, POSTGRES, System

DSN = POSTGRES.replace("postgresql://", "postgresql+psycopg://")

if IN_STAND:
    import bodies
    from dbos import DBOS, DBOSClient


def work() -> None:
    config = {"name": "bench", "system_database_url": DSN, "application_version": "1", "executor_id": str(os.getpid())}
    DBOS(config=config)
    for name, body in bodies.BODIES.items():
        DBOS.workflow(name=name)(body)
    DBOS.launch()
    DBOS.register_queue("bench")
    threading.Event().wait()


class Dbos(System):
    title = "DBOS"
    guarantees = "a committed row; a killed process's workflows go on when it comes back; result kept"
    distribution = "dbos"
    requirements = ("dbos", "Django", "psycopg[binary]")
    lock = "dbos"
    pace = 300
    has_bulk = False
    inserts = True
    tables = ("dbos.workflow_status",)
    unfinished = "SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')"

    def setup(self) -> None:
        # Its first process makes the tables; here none runs yet.
        DBOS(config={"name": "bench", "system_database_url": DSN, "application_version": "1"})
        DBOS.launch()
        DBOS.register_queue("bench")
        DBOS.destroy()
        self.client = DBOSClient(system_database_url=DSN)

    def worker_commands(self, processes: int) -> list[list[str]]:
        return [[sys.executable, "-m", "systems.dbos"] for _ in range(processes)]

    def enqueue_one(self, body: str, number: int) -> None:
        self.client.enqueue({"queue_name": "bench", "workflow_name": body, "app_version": "1"}, number)

    def close(self) -> None:
        self.client.destroy()


SYSTEM = Dbos()

if __name__ == "__main__":
    work()
