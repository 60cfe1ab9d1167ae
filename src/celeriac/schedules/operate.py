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

from celeriac.errors import NoSchedule
from celeriac.ledger.audit import Action
from celeriac.ledger.columns import batches
from celeriac.ledger.database import alias_of, clock, writing
from celeriac.ledger.ids import new_id
from celeriac.ledger.rows import By
from celeriac.ledger.selection import Selection
from celeriac.schedules.definition import aware, is_due, kept, next_of, policy, skips, stored, timing
from celeriac.schedules.fire import make_jobs
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.plan import Plan
from celeriac.schedules.policies import MOST, Planned
from celeriac.schedules.preview import zone_of_row
from celeriac.schedules.queries import find, no_schedule
from celeriac.schedules.ticks import upcoming

__all__ = [
    "BY_HAND",
    "Backfilled",
    "By",
    "NoSchedule",
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

#: Ticks that one backfill may be of; more is likely to be a mistake in its dates.
MOST_BACKFILLED = 10_000


class Wanted(NamedTuple):
    """What a backfill is of: the instants that have had no job, and how many are due in its time at all."""

    instants: list[datetime]
    due: int

    @property
    def there(self) -> int:
        """How many have had one."""
        return self.due - len(self.instants)


class Backfilled(NamedTuple):
    """What a backfill did: the ticks that became jobs, and how many instants had one already."""

    ticks: list[Tick]
    there: int


def _locked(name: str, alias: str) -> Schedule:
    row = Schedule.objects.using(alias).select_for_update().filter(name=name).first()
    if row is None:
        raise no_schedule(name)
    return row


def _refuse_broken(row: Schedule) -> None:
    """Refuse what needs more of a definition than was understood: its arguments may be among the rest."""
    if row.timing == "{}":
        raise ValueError(f"Schedule {row.name} is broken: {row.trouble or 'it has no times.'}")


def run(name: str, by: By, *, app: Any = None) -> Tick:
    """Ask for a job of the schedule now, whatever its policies say; its ticks stay as they are.

    Raises:
        NoSchedule: when there is none of this name.
        ValueError: when no job can be made of it; the message says why.
    """
    with writing() as alias:
        row = _locked(name, alias)
        _refuse_broken(row)
        [tick] = _made(app or current_app, row, [_free(row, aware(clock()), alias)], "now", alias)
        if tick.outcome == "failed":
            raise ValueError(tick.note)
        _note("run", row, by, alias, jobs=[tick])
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
        chosen = _to_skip(row, instant, aware(clock()))
        row.skips = json.dumps(sorted(one.isoformat() for one in {*skips(row), chosen}))
        row.save(using=alias, update_fields=["skips"])
        _note("skip", row, by, alias, options={"instant": chosen.isoformat()})
    return chosen


def unskip(name: str, by: By, instant: datetime) -> bool:
    """Put a tick back that was taken out; False when it was not, or its time has passed."""
    with writing() as alias:
        row = _locked(name, alias)
        taken_out = skips(row)
        if aware(instant) not in taken_out:
            return False
        row.skips = json.dumps(sorted(one.isoformat() for one in taken_out - {aware(instant)}))
        row.save(using=alias, update_fields=["skips"])
        _note("unskip", row, by, alias, options={"instant": aware(instant).isoformat()})
    return True


def _to_skip(row: Schedule, instant: datetime | None, now: datetime) -> datetime:
    first = _first(row, now)
    if first is None:
        _refuse_broken(row)
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


def backfill(name: str, since: datetime, until: datetime, by: By, *, app: Any = None) -> Backfilled:
    """Ask for a job of each instant from *since* to *until* (both included, and past) that has not had one.

    A task reads its instant from the header `celeriac_tick`. The policies of the schedule do not apply, but its lane
    does: with overlap "queue_one" or "cancel_running" the jobs run one after the other.

    Raises:
        NoSchedule: when there is none of this name.
        ValueError: for more instants than 10,000, or when a job cannot be made; nothing was asked for then.
    """
    app = app or current_app
    wanted = to_backfill(name, since, until)
    ticks: list[Tick] = []
    for batch in batches(wanted.instants, 500):
        with writing() as alias:
            row = _locked(name, alias)
            free = _without_job(name, batch, alias)
            rows = Tick.objects.using(alias).filter(schedule=name, instant__in=[kept(one) for one in free])
            rows.delete()  # those that say why there was no job
            made = _made(app, row, free, "backfill", alias)
            if bad := next((tick for tick in made if tick.outcome == "failed"), None):
                raise ValueError(bad.note)
            ticks += made
    with writing() as alias:
        options = {"since": aware(since).isoformat(), "until": aware(until).isoformat()}
        row = _locked(name, alias)
        _note("backfill", row, by, alias, jobs=ticks, matched=wanted.due, options=options)
    return Backfilled(ticks, wanted.due - len(ticks))


def to_backfill(name: str, since: datetime, until: datetime) -> Wanted:
    """Return what a backfill would ask for.

    Raises:
        NoSchedule: when there is none of this name.
        ValueError: for more instants than 10,000, and for a schedule that is broken.
    """
    row = find(name)
    _refuse_broken(row)
    due = _between(row, aware(since), min(aware(until), aware(clock())))
    return Wanted([one for batch in batches(due, 500) for one in _without_job(name, batch, alias_of())], len(due))


def _without_job(name: str, instants: Collection[datetime], alias: str) -> list[datetime]:
    rows = Tick.objects.using(alias).filter(schedule=name, instant__in=[kept(one) for one in instants])
    had = {aware(at) for at in rows.exclude(outcome__in=["skipped", "failed"]).values_list("instant", flat=True)}
    return [one for one in instants if one not in had]


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
