"""What is said of schedules and ticks, in words for a table."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from uuid import UUID
from zoneinfo import ZoneInfo

from django.utils import timezone

from celeriac.management.terminal.moments import span
from celeriac.management.terminal.screen import Cell, Screen, one_line
from celeriac.schedules.definition import aware
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.preview import standing, zone_of_row
from celeriac.schedules.words import WHY_NOT

__all__ = ["WIDE", "finest", "outcome_cell", "since", "standing_cell", "wall", "why_of", "zone_or_ours"]

#: On a narrower terminal a time goes without the name of its zone.
WIDE = 100

_STANDINGS = {"on": "SUCCESS", "paused": "WARNING", "overdue": "ERROR", "broken": "ERROR"}
_OUTCOMES = {"succeeded": "SUCCESS", "failed": "ERROR", "dead": "ERROR", "cancelled": "NOTICE", "skipped": "WARNING"}


def standing_cell(row: Schedule, now: datetime) -> Cell:
    """Return in its colour how the schedule stands."""
    word = standing(row, now)
    return Cell(word, "WARNING" if row.trouble and word == "on" else _STANDINGS.get(word, ""))


def outcome_cell(tick: Tick, states: Mapping[UUID, str]) -> Cell:
    """Return in its colour what came of a tick, or of several; *states* are those of open jobs."""
    many = f"{tick.count:,} " if tick.count > 1 else ""
    state = f", {states[tick.job]}" if tick.outcome == "fired" and tick.job is not None and tick.job in states else ""
    return Cell(f"{many}{tick.outcome}{state}", _OUTCOMES.get(tick.outcome, ""))


def why_of(tick: Tick, *, kind: bool = False) -> str:
    """Return in one line why a tick came to what it came to; *kind*: also if it was by hand."""
    parts = [tick.kind if kind and tick.kind != "due" else "", WHY_NOT.get(tick.reason, tick.reason)]
    if tick.outcome == "sent":
        parts.append("left to the broker")
    elif tick.outcome == "gone":
        parts.append("its job was not kept")
    if tick.told == "overdue":
        parts.append("not in time")
    parts.append(one_line(tick.note))
    return ", ".join(part for part in parts if part)


# -- times


def zone_or_ours(row: Schedule | None) -> ZoneInfo:
    """Return the time zone of the schedule; Django's where there is none, or this machine does not know it."""
    try:
        if row is not None:
            return zone_of_row(row)
    except (ValueError, LookupError, OSError):
        pass
    return ZoneInfo(timezone.get_default_timezone_name())


def finest(instants: Iterable[datetime]) -> str:
    """Return how finely *instants* have to be written: to the minute where none needs more."""
    instants = list(instants)
    if any(at.microsecond for at in instants):
        return "milliseconds"
    return "seconds" if any(at.second for at in instants) else "minutes"


def wall(instant: datetime, zone: tzinfo = UTC, fine: str = "seconds", *, named: bool = True) -> str:
    """Return what a clock in *zone* shows; *named*: and the zone's name."""
    there = aware(instant).astimezone(zone)
    text = there.replace(tzinfo=None).isoformat(" ", fine)
    return f"{text} {there:%Z}" if named else text


def since(when: datetime, screen: Screen) -> str:
    """Return how long ago it was, or how long it will be."""
    return span(round((aware(screen.now) - aware(when)).total_seconds()))
