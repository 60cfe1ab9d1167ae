"""What people do to schedules by hand: the one way for the admin, the command line and code. Each is an `Action`.

A definition is changed where it is said: in the code, or in django-celery-beat's tables. Here is what stands beside it.
"""

import json
from collections.abc import Collection
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any, NamedTuple
from uuid import UUID

from celery import current_app

from celeriac.ledger.audit import Action
from celeriac.ledger.columns import batches
from celeriac.ledger.database import alias_of, clock, writing
from celeriac.ledger.ids import new_id
from celeriac.ledger.rows import By
from celeriac.ledger.selection import Selection
from celeriac.schedules.definition import aware, kept, next_of, policy, stored, timing
from celeriac.schedules.fire import make_jobs
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.plan import Plan
from celeriac.schedules.policies import MOST, Planned
from celeriac.schedules.ticks import upcoming

__all__ = [
    "BY_HAND",
    "Backfilled",
    "By",
    "Missing",
    "NoSchedule",
    "backfill",
    "find",
    "missing",
    "pause",
    "resume",
    "run",
    "skip",
    "unskip",
]

#: The verbs, as `Action.verb` names them.
BY_HAND = ("run", "pause", "resume", "skip", "unskip", "backfill")

#: Ticks that one backfill may be of; more is likely to be a mistake in its dates.
MOST_BACKFILLED = 10_000


class NoSchedule(LookupError):
    """There is no schedule of this name."""


class Backfilled(NamedTuple):
    """What a backfill did: the ticks that became jobs, and how many instants had one already."""

    ticks: list[Tick]
    there: int


class Missing(NamedTuple):
    """What a backfill would do: the instants that have had no job, and how many have had one."""

    instants: list[datetime]
    there: int


def find(name: str) -> Schedule:
    """Return the schedule named *name*.

    Raises:
        NoSchedule: when there is none.
    """
    row = Schedule.objects.using(alias_of()).filter(name=name).first()
    if row is None:
        raise NoSchedule(f"There is no schedule {name!r}.")
    return row


def _locked(name: str, alias: str) -> Schedule:
    row = Schedule.objects.using(alias).select_for_update().filter(name=name).first()
    if row is None:
        raise NoSchedule(f"There is no schedule {name!r}.")
    return row


def run(name: str, by: By, *, app: Any = None) -> Tick:
    """Ask for a job of the schedule now, whatever its policies say; its ticks stay as they are.

    Raises:
        NoSchedule: when there is none of this name.
        ValueError: when no job can be made of it; the message says why.
    """
    with writing() as alias:
        row, now = _locked(name, alias), clock()
        [tick] = _made(app or current_app, row, [aware(now)], "now", alias)
        if tick.outcome == "failed":
            raise ValueError(tick.note)
        _note("run", row, by, alias, jobs=[tick])
    return tick


def pause(name: str, by: By) -> bool:
    """Let the schedule fire nothing until it is resumed; False when it was paused already."""
    with writing() as alias:
        row = _locked(name, alias)
        if row.paused_at is not None:
            return False
        row.paused_at = clock()
        row.save(using=alias, update_fields=["paused_at"])
        _note("pause", row, by, alias)
    return True


def resume(name: str, by: By) -> bool:
    """Let it fire again, from its next tick on; what it missed is one row, skipped for "paused". False when it was not.

    Missed ticks can be had by `backfill`.
    """
    with writing() as alias:
        row = _locked(name, alias)
        if row.paused_at is None:
            return False
        now = clock()
        row.paused_at = None
        if row.next_tick is not None and row.next_tick <= now:
            _write_paused(row, now, alias)
            row.next_tick = stored(next_of(row, aware(now)))
        row.save(using=alias, update_fields=["paused_at", "last_tick", "next_tick"])
        _note("resume", row, by, alias)
    return True


def _write_paused(row: Schedule, now: datetime, alias: str) -> None:
    assert row.next_tick is not None
    first = aware(row.next_tick)
    instants = [first, *islice(upcoming(timing(row), first, aware(now)), MOST - 1)]
    last, count = instants[-1], len(instants)
    row.last_tick = stored(last)
    Tick.objects.using(alias).get_or_create(
        schedule=row.name,
        instant=kept(last),
        defaults={"outcome": "skipped", "reason": "paused", "count": count, "fired_at": now},
    )


def skip(name: str, by: By, *, instant: datetime | None = None) -> datetime:
    """Take one tick out, the next or that of *instant*; return which.

    Raises:
        ValueError: when the schedule is not due then, or not any more.
    """
    with writing() as alias:
        row = _locked(name, alias)
        skips = _skips(row)
        chosen = _to_skip(row, instant, skips, aware(clock()))
        row.skips = json.dumps(sorted(one.isoformat() for one in {*skips, chosen}))
        row.save(using=alias, update_fields=["skips"])
        _note("skip", row, by, alias, options={"instant": chosen.isoformat()})
    return chosen


def unskip(name: str, by: By, instant: datetime) -> bool:
    """Put a tick back that was taken out; False when it was not, or its time has passed."""
    with writing() as alias:
        row = _locked(name, alias)
        skips = _skips(row)
        if aware(instant) not in skips:
            return False
        row.skips = json.dumps(sorted(one.isoformat() for one in skips - {aware(instant)}))
        row.save(using=alias, update_fields=["skips"])
        _note("unskip", row, by, alias, options={"instant": aware(instant).isoformat()})
    return True


def _skips(row: Schedule) -> set[datetime]:
    return {datetime.fromisoformat(text) for text in json.loads(row.skips)}


def _to_skip(row: Schedule, instant: datetime | None, skips: Collection[datetime], now: datetime) -> datetime:
    # What passed while it was paused will be no job anyway.
    first = next_of(row, now) if row.paused_at and row.next_tick else row.next_tick
    if first is None:
        raise ValueError(f"Schedule {row.name} has no tick to come: {row.trouble or 'it is disabled, or over'}.")
    first = aware(first)
    if instant is None:
        coming = (one for one in chain([first], islice(upcoming(timing(row), first), 1000)) if one not in skips)
        found = next(coming, None)
        if found is None:
            raise ValueError(f"Schedule {row.name} has no tick to come that is not skipped.")
        return found
    wanted = aware(instant)
    if wanted < first or timing(row).after(wanted - timedelta.resolution) != wanted:
        raise ValueError(
            f"Schedule {row.name} is not due at {wanted.isoformat()}; its next tick is {first.isoformat()}."
        )
    return wanted


def backfill(name: str, since: datetime, until: datetime, by: By, *, app: Any = None) -> Backfilled:
    """Ask for a job of each instant from *since* to *until* (both included, and past) that has not had one.

    A task reads its instant from the header `celeriac_tick`. The policies of the schedule do not apply, but its lane
    does: with overlap "queue_one" or "cancel_running" the jobs run one after the other.

    Raises:
        NoSchedule: when there is none of this name.
        ValueError: for more instants than 10,000, or when a job cannot be made; nothing was asked for then.
    """
    app = app or current_app
    row = find(name)
    instants = _between(row, aware(since), min(aware(until), aware(clock())))
    ticks: list[Tick] = []
    for batch in batches(instants, 500):
        with writing() as alias:
            row = _locked(name, alias)
            had = _had(name, batch, alias)
            jobless = Tick.objects.using(alias).filter(schedule=name, outcome__in=JOBLESS)
            jobless.filter(instant__in=[kept(one) for one in batch]).delete()
            made = _made(app, row, [one for one in batch if one not in had], "backfill", alias)
            if bad := next((tick for tick in made if tick.outcome == "failed"), None):
                raise ValueError(bad.note)
            ticks += made
    with writing() as alias:
        options = {"since": aware(since).isoformat(), "until": aware(until).isoformat()}
        _note("backfill", row, by, alias, jobs=ticks, matched=len(instants), options=options)
    return Backfilled(ticks, len(instants) - len(ticks))


def missing(name: str, since: datetime, until: datetime) -> Missing:
    """Return what a backfill from *since* to *until* would do.

    Raises:
        NoSchedule: when there is none of this name.
        ValueError: for more instants than 10,000.
    """
    instants = _between(find(name), aware(since), min(aware(until), aware(clock())))
    had = {at for batch in batches(instants, 500) for at in _had(name, batch, alias_of())}
    return Missing([one for one in instants if one not in had], len(had))


#: Outcomes of ticks that asked for no job.
JOBLESS = ("skipped", "failed")


def _had(name: str, instants: Collection[datetime], alias: str) -> set[datetime]:
    """Return those of *instants* that have had a job."""
    ticks = Tick.objects.using(alias).filter(schedule=name, instant__in=[kept(one) for one in instants])
    return {aware(at) for at in ticks.exclude(outcome__in=JOBLESS).values_list("instant", flat=True)}


def _between(row: Schedule, since: datetime, until: datetime) -> list[datetime]:
    found = list(islice(upcoming(timing(row), since - timedelta.resolution, until), MOST_BACKFILLED + 1))
    if len(found) > MOST_BACKFILLED:
        raise ValueError(f"Those are more than {MOST_BACKFILLED:,} ticks of {row.name}; take them a part at a time.")
    return found


def _made(app: Any, row: Schedule, instants: list[datetime], kind: str, alias: str) -> list[Tick]:
    """Make ticks that are jobs, all of *instants*."""
    if not instants:
        return []
    said = policy(row)
    one = Plan(row, said, [Planned(instant) for instant in instants], None, kind=kind)
    # By hand: no tick is left out for what is open; calls still read the overlap for their lane.
    jobs = make_jobs(app, [one], clock(), alias, by_hand=True)
    ticks = one.rows(jobs, clock())
    Tick.objects.using(alias).bulk_create(ticks, batch_size=500)
    return ticks


def _note(
    verb: str,
    row: Schedule,
    by: By,
    alias: str,
    *,
    jobs: Collection[Tick] = (),
    matched: int | None = None,
    options: dict[str, Any] | None = None,
) -> None:
    now = clock()
    ids = tuple(tick.job for tick in jobs if tick.job is not None)
    Action.objects.using(alias).create(
        id=UUID(new_id()),
        verb=verb,
        **by._asdict(),
        schedule=row.name,
        selection=Selection(ids=ids[:1000]).as_json(),
        options=json.dumps(options or {}),
        state="done",
        matched=len(jobs) if matched is None else matched,
        changed=len(jobs),
        created_at=now,
        moved_at=now,
        ended_at=now,
    )
