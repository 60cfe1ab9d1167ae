"""No system: what PostgreSQL itself allows on this machine, in the same run. `measures/limits.py` does the work."""

from __future__ import annotations

from systems import System


class Bare(System):
    title = "bare PostgreSQL"
    guarantees = "the limits of this machine: psycopg, rows like Celeriac's, no jobs run"
    distribution = "psycopg"
    requirements = ("psycopg[binary]",)
    lock = "celeriac"
    measures = ("limits",)

    def worker_commands(self, processes: int) -> list[list[str]]:
        raise NotImplementedError(f"{self.title} has no workers, {processes} or any")


SYSTEM = Bare()
