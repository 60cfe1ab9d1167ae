"""Schedules on each database in turn, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from celeriac.ledger.models import Job
from celeriac.ledger.rows import By
from celeriac.management.terminal import command
from celeriac.schedules import backfill, by_hand, fire, operate, sync, watch
from celeriac.schedules.models import Schedule, Tick
from tests.shop.celery import app

MONDAY = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
ADA = By("ada", "since I say so", "code")


class Clockwork:
    """The schedules of an app, on one database; its clock stands still until it is moved."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.now = MONDAY
        self.app = app

    def write(self, **entries: Any) -> None:
        """Let the project's settings have these entries, and a worker start with them."""
        app.conf.beat_schedule = {
            name: entry if isinstance(entry, dict) else {"task": "tests.shop.tasks.noop", "schedule": entry}
            for name, entry in entries.items()
        }
        sync.sync_code(app)

    def passes(self, **time: float) -> list[Tick]:
        """Let time pass, and a scheduler look; return the ticks that made."""
        self.now += timedelta(**time)
        return self.look()

    def look(self) -> list[Tick]:
        known = set(self.ticks().values_list("id", flat=True))
        while (fired := fire.fire(app)).next_due is not None and fired.next_due <= 0:
            pass
        return [tick for tick in self.ticks() if tick.id not in known]

    def row(self, name: str = "s") -> Schedule:
        return Schedule.objects.using(self.alias).get(name=name)

    def rows(self):
        return Schedule.objects.using(self.alias).order_by("name")

    def ticks(self):
        return Tick.objects.using(self.alias).order_by("instant", "id")

    def jobs(self):
        return Job.objects.using(self.alias).order_by("id")

    def told(self) -> list[tuple[str, str]]:
        """The ticks as (when, what became of it)."""
        return [
            (f"{tick.instant:%H:%M:%S}", " ".join(filter(None, [tick.outcome, tick.reason]))) for tick in self.ticks()
        ]


@pytest.fixture
def clockwork(ledger_alias, db, settings, monkeypatch) -> Iterator[Clockwork]:
    settings.CELERIAC = {**settings.CELERIAC, "DATABASE": ledger_alias}
    app.loader.import_default_modules()  # or whether a task is registered depends on the tests before
    made = Clockwork(ledger_alias)
    for module in (backfill, by_hand, fire, operate, sync, watch, command):
        monkeypatch.setattr(module, "clock", lambda: made.now)
    before = app.conf.beat_schedule
    yield made
    app.conf.beat_schedule = before
