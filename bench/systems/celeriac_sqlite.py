"""Celeriac over SQLite, the embedded default. The realistic job still works on PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from systems import IN_STAND, System
from systems.celeriac_postgres import Celeriac

if IN_STAND:
    from systems.celeriac_postgres import app  # noqa: F401 - what the worker is told to load


class OnSqlite(Celeriac):
    title = "Celeriac, SQLite"
    guarantees = "a committed row in a file, in the caller's transaction; one host; result kept"
    measures = System.measures
    pace = 2_000
    shop = "shop"
    inserts = False
    tables = ()

    def databases(self, postgres: dict[str, object], home: Path) -> dict[str, object]:
        sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(home / "jobs.sqlite3")}
        return {"default": sqlite, "shop": postgres}

    def left(self, count: int, connection: Any) -> int:
        del count, connection
        from celeriac.models import Job

        return Job.objects.filter(finished_at__isnull=True).count()

    def clear(self) -> None:
        from celeriac.models import Job

        Job.objects.all()._raw_delete("default")  # noqa: SLF001 - the same, without a collector over all rows


SYSTEM = OnSqlite()
