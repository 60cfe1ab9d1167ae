"""What people do to schedules by hand: the one way for the admin, the command line and code. Each is an `Action`.

A definition is changed where it is said: in the code, or in django-celery-beat's tables. Here is what stands beside it.
"""

import json
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any

from celery import current_app

from celeriac.errors import NoSchedule
from celeriac.ledger.database import clock, writing
from celeriac.ledger.rows import By
from celeriac.schedules.backfill import Backfilled, Wanted, backfill, to_backfill
from celeriac.schedules.by_hand import account, made, refuse_broken, row_of
from celeriac.schedules.definition import aware, is_due, kept, next_of, skips, stored, timing
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.policies import MOST
from celeriac.schedules.preview import zone_of_row
from celeriac.schedules.queries import find
from celeriac.schedules.ticks import upcoming

__all__ = [
    "BY_HAND",
    "Backfilled",
    "By",
    "NoSchedule",
    "Wanted",
    "backfill",
    "find",
    "pause",
    "resume",
    "run",
    "skip",
    "to_backfill",
    "unskip",
]

#: The verbs, as `Action.verb` names them.
BY_HAND = ("run", "pause", "resume", "skip", "unskip", "backfill")


def run(name: str, by: By, *, app: Any = None) -> Tick:
    """Ask for a job of the schedule now, whatever its policies say; its ticks stay as they are.

    Raises:
        NoSchedule: when there is none of this name.
        ValueError: when no job can be made of it; the message says why.
    """
    with writing() as alias:
        row = row_of(name, alias)
        refuse_broken(row)
        [tick] = made(app or current_app, row, [_free(row, aware(clock()), alias)], "now", alias)
        if tick.outcome == "failed":
            raise ValueError(tick.note)
        account("run", row, by, alias, jobs=[tick])
    return tick


def _free(row: Schedule, now: datetime, alias: str) -> datetime:
    """Return now, or the next moment that is not the instant of a tick: what is run by hand takes no tick's place."""
    had = Tick.objects.using(alias).filter(schedule=row.name)
    while is_due(row, now) or had.filter(instant=kept(now)).exists():
        now += timedelta.resolution
    return now


def pause(name: str, by: By) -> bool:
    """Let the schedule fire nothing until it is resumed; False when it was paused already."""
    with writing() as alias:
        row = row_of(name, alias)
        if row.paused_at is not None:
            return False
        row.paused_at = clock()
        row.save(using=alias, update_fields=["paused_at"])
        account("pause", row, by, alias)
    return True


def resume(name: str, by: By) -> bool:
    """Let it fire again, from its next tick on; what it missed is one row, skipped for "paused". False when it was not.

    Missed ticks can be had by `backfill`.
    """
    with writing() as alias:
        row = row_of(name, alias)
        if row.paused_at is None:
            return False
        now = clock()
        row.paused_at = None
        if row.next_tick is not None and row.next_tick <= now:
            _write_paused(row, now, alias)
            row.next_tick = stored(next_of(row, aware(now)))
        row.save(using=alias, update_fields=["paused_at", "last_tick", "next_tick"])
        account("resume", row, by, alias)
    return True


def _write_paused(row: Schedule, now: datetime, alias: str) -> None:
    assert row.next_tick is not None
    first = aware(row.next_tick)
    instants = [first, *islice(upcoming(timing(row), first, aware(now)), MOST - 1)]
    last, count = instants[-1], len(instants)
    note = "these are the first; it missed more" if count == MOST else ""
    row.last_tick = stored(last)
    Tick.objects.using(alias).get_or_create(
        schedule=row.name,
        instant=kept(last),
        defaults={"outcome": "skipped", "reason": "paused", "count": count, "fired_at": now, "note": note},
    )


def skip(name: str, by: By, *, instant: datetime | None = None) -> datetime:
    """Take one tick out, the next or that of *instant*; return which.

    Raises:
        ValueError: when the schedule is not due then, or not any more.
    """
    with writing() as alias:
        row = row_of(name, alias)
        chosen = _to_skip(row, instant, aware(clock()))
        row.skips = json.dumps(sorted(one.isoformat() for one in {*skips(row), chosen}))
        row.save(using=alias, update_fields=["skips"])
        account("skip", row, by, alias, options={"instant": chosen.isoformat()})
    return chosen


def unskip(name: str, by: By, instant: datetime) -> bool:
    """Put a tick back that was taken out; False when it was not, or its time has passed."""
    with writing() as alias:
        row = row_of(name, alias)
        taken_out = skips(row)
        if aware(instant) not in taken_out:
            return False
        row.skips = json.dumps(sorted(one.isoformat() for one in taken_out - {aware(instant)}))
        row.save(using=alias, update_fields=["skips"])
        account("unskip", row, by, alias, options={"instant": aware(instant).isoformat()})
    return True


def _to_skip(row: Schedule, instant: datetime | None, now: datetime) -> datetime:
    first = _first(row, now)
    if first is None:
        refuse_broken(row)
        raise ValueError(f"Schedule {row.name} has no tick to come: it is disabled, or over.")
    if instant is None:
        taken_out = skips(row)
        coming = chain([first], islice(upcoming(timing(row), first), 1000))
        found = next((one for one in coming if one not in taken_out), None)
        if found is None:
            raise ValueError(f"Schedule {row.name} has no tick to come that is not skipped.")
        return found
    wanted = aware(instant)
    if wanted < first or not is_due(row, wanted):
        zone = zone_of_row(row)
        following = next_of(row, max(wanted, first - timedelta.resolution))
        then = f"the next tick is at {following.astimezone(zone).isoformat()}" if following else "nor later"
        raise ValueError(f"Schedule {row.name} is not due at {wanted.astimezone(zone).isoformat()}; {then}.")
    return wanted


def _first(row: Schedule, now: datetime) -> datetime | None:
    """Return the first tick that can still be a job: of one that is paused, none that has passed."""
    if row.next_tick is None:
        return None
    first = aware(row.next_tick)
    return next_of(row, now) if row.paused_at is not None and first <= now else first
