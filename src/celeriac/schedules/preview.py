"""What people are shown of a schedule: in words, and its next ticks."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from heapq import merge
from itertools import islice, repeat
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.utils import timezone

from celeriac.schedules.definition import aware, policy, skips, timing
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.ticks import upcoming
from celeriac.schedules.words import in_words

__all__ = [
    "Coming",
    "as_json",
    "coming",
    "coming_json",
    "coming_of_all",
    "in_words",
    "is_overdue",
    "late_by",
    "standing",
    "tick_json",
    "zone_of_row",
]

#: A schedule is overdue when nobody has seen to its tick for so many seconds: somebody who leads is missing.
OVERDUE = 60.0


class Coming(NamedTuple):
    """A tick to come; *reason* says why it will be no job: asked, blackout, paused."""

    instant: datetime
    local: datetime
    reason: str = ""


def zone_of_row(row: Schedule) -> ZoneInfo:
    """Return the time zone that the schedule is said in, or else Django's."""
    said = json.loads(row.timing)
    return ZoneInfo(said.get("zone") or timezone.get_default_timezone_name())


def coming(row: Schedule, count: int, now: datetime) -> list[Coming]:
    """Return the next *count* ticks after *now*, as far as there are any."""
    return list(islice(_coming(row, now), count))


def coming_of_all(rows: Iterable[Schedule], count: int, now: datetime) -> list[tuple[Coming, Schedule]]:
    """Return the next *count* ticks of all of *rows*, in order."""
    several = [zip(_coming(row, now), repeat(row), strict=False) for row in rows]
    return list(islice(merge(*several, key=lambda pair: (pair[0].instant, pair[1].name)), count))


def _coming(row: Schedule, now: datetime) -> Iterator[Coming]:
    if row.next_tick is None or row.timing == "{}":
        return
    try:
        zone, said, taken_out = zone_of_row(row), policy(row), skips(row)
        for instant in upcoming(timing(row), aware(now)):
            reason = "asked" if instant in taken_out else ""
            if not reason and said.covers(instant):
                reason = "blackout"
            if not reason and row.paused_at is not None:
                reason = "paused"
            yield Coming(instant, instant.astimezone(zone), reason)
            if row.once and not reason:
                return
    except (ValueError, LookupError, OSError, ImportError):
        # A zone or a library that this machine lacks: who fires writes that into `trouble`, and the others are shown.
        return


def is_overdue(row: Schedule, now: datetime) -> bool:
    """Whether a tick is due that nobody has seen to."""
    return row.next_tick is not None and row.paused_at is None and (now - row.next_tick).total_seconds() > OVERDUE


def standing(row: Schedule, now: datetime) -> str:
    """Return in one word how the schedule stands: on, paused, off, over, overdue, broken."""
    if row.paused_at is not None:
        return "paused"
    if not row.enabled:
        return "off"
    if row.next_tick is None:
        return "broken" if row.trouble else "over"
    return "overdue" if is_overdue(row, now) else "on"


def as_json(row: Schedule, now: datetime, last: Tick | None = None) -> dict[str, Any]:
    """Return what a program is told of the schedule, with keys that stay; *last* is its last tick."""
    following = coming(row, 1, now)
    return {
        "name": row.name,
        "source": row.source,
        "origin": row.origin,
        "task": row.task,
        "standing": standing(row, now),
        "schedule": in_words(row),
        "zone": json.loads(row.timing).get("zone"),
        "next": coming_json(following[0]) if following else None,
        "overdue_since": row.next_tick and _iso(row.next_tick) if is_overdue(row, now) else None,
        "last": row.last_tick and _iso(row.last_tick),
        "last_tick": tick_json(last) if last is not None else None,
        "paused_at": row.paused_at and _iso(row.paused_at),
        "trouble": row.trouble,
    }


def coming_json(one: Coming) -> dict[str, Any]:
    """Return what a program is told of a tick to come."""
    return {"utc": one.instant.astimezone(UTC).isoformat(), "local": one.local.isoformat(), "no_job": one.reason}


def tick_json(tick: Tick) -> dict[str, Any]:
    """Return what a program is told of a tick; *late* is in seconds."""
    delay = late_by(tick)
    return {
        "schedule": tick.schedule,
        "instant": _iso(tick.instant),
        "kind": tick.kind,
        "outcome": tick.outcome,
        "reason": tick.reason,
        "count": tick.count,
        "job": str(tick.job) if tick.job else None,
        "fired_at": _iso(tick.fired_at),
        "late": delay,
        "deadline": tick.deadline and _iso(tick.deadline),
        "ended_at": tick.ended_at and _iso(tick.ended_at),
        "told": tick.told,
        "note": tick.note,
    }


def late_by(tick: Tick) -> float | None:
    """Return how many seconds after its instant a tick was fired; None for one that was not, or was by hand."""
    if tick.kind != "due" or tick.outcome in {"skipped", "failed"}:
        return None
    return (tick.fired_at - tick.instant).total_seconds()


def _iso(when: datetime) -> str:
    return aware(when).isoformat()
