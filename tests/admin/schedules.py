"""Schedules and ticks as rows, for the pages that show them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from celeriac.ledger.database import alias_of, clock
from celeriac.schedules.models import Schedule, Tick

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOOP = "tests.shop.tasks.noop"


def crontab(minute: str, hour: str, zone: str = "Europe/Berlin") -> str:
    whole = {"*": "0-23", "*/5": ",".join(map(str, range(0, 60, 5)))}
    return json.dumps(
        {"crontab": [whole.get(minute, minute), whole.get(hour, hour), "1-31", "1-12", "0-6"], "zone": zone}
    )


def a_schedule(name: str, **fields: Any) -> Schedule:
    """A schedule that is due each hour, on the hour of its anchor."""
    now = clock()
    given = {
        "source": "settings",
        "task": NOOP,
        "timing": '{"every":3600.0}',
        "anchor": NOON,
        "next_tick": NOON + ((now - NOON) // timedelta(hours=1) + 1) * timedelta(hours=1),
        "changed_at": now,
    }
    return Schedule.objects.using(alias_of()).create(name=name, **{**given, **fields})


def a_tick(schedule: str, instant: datetime, **fields: Any) -> Tick:
    given = {"fired_at": instant, "outcome": "fired"}
    return Tick.objects.using(alias_of()).create(schedule=schedule, instant=instant, **{**given, **fields})
