"""Backfilling: jobs for instants of the past that had none."""

from collections import deque
from collections.abc import Collection
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from celery import current_app

from celeriac.ledger.columns import batches
from celeriac.ledger.database import alias_of, clock, writing
from celeriac.ledger.rows import By
from celeriac.schedules.by_hand import account, made, refuse_broken, row_of
from celeriac.schedules.definition import aware, kept, timing
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.queries import find
from celeriac.schedules.ticks import upcoming

__all__ = ["Backfilled", "Wanted", "backfill", "to_backfill"]

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


def backfill(name: str, since: datetime, until: datetime, by: By, *, app: Any = None) -> Backfilled:
    """Ask for a job of each instant from *since* to *until* (both included, and past) that has not had one.

    A task reads its instant from the header `celeriac_tick`. The policies of the schedule do not apply, but its lane
    does: with overlap "queue_one" or "cancel_running" the jobs run one after the other.

    Raises:
        NoSchedule: when there is none of this name.
        ValueError: for more instants than 10,000, or when a job cannot be made; nothing was asked for then.
    """
    options = {"since": aware(since).isoformat(), "until": aware(until).isoformat()}
    ticks: list[Tick] = []
    with writing() as alias:
        row = row_of(name, alias)  # from here on nobody else makes ticks of it
        wanted = to_backfill(name, since, until)
        for batch in batches(wanted.instants, 500):
            _unfold(row, batch[0], batch[-1], alias)
            # What is there says why there was no job.
            Tick.objects.using(alias).filter(schedule=name, instant__in=[kept(one) for one in batch]).delete()
            ticks += made(app or current_app, row, batch, "backfill", alias)
            if bad := next((tick for tick in ticks if tick.outcome == "failed"), None):
                raise ValueError(bad.note)
        account("backfill", row, by, alias, jobs=ticks, matched=wanted.due, options=options)
    return Backfilled(ticks, wanted.there)


def _unfold(row: Schedule, first: datetime, last: datetime, alias: str) -> None:
    """Make a row of each instant from *first* to *last* that is one of several in a row: some of them get jobs now."""
    ticks = Tick.objects.using(alias).filter(schedule=row.name)
    for folded in ticks.filter(outcome__in=JOBLESS, count__gt=1, instant__gte=kept(first)).order_by("instant"):
        before = ticks.filter(instant__lt=folded.instant).order_by("-instant").values_list("instant", flat=True).first()
        since = aware(before) if before is not None else min(first, aware(row.anchor)) - timedelta.resolution
        instants = [*deque(upcoming(timing(row), since, aware(folded.instant)), folded.count)]
        if instants and instants[0] > last:
            return
        Tick.objects.using(alias).bulk_create(_like(folded, instant) for instant in instants[:-1])
        ticks.filter(pk=folded.pk).update(count=1)


def _like(tick: Tick, instant: datetime) -> Tick:
    same = {name: getattr(tick, name) for name in ("schedule", "kind", "outcome", "reason", "fired_at", "note")}
    return Tick(instant=kept(instant), **same)


def to_backfill(name: str, since: datetime, until: datetime) -> Wanted:
    """Return what a backfill would ask for.

    Raises:
        NoSchedule: when there is none of this name.
        ValueError: for more instants than 10,000, and for a schedule that is broken.
    """
    row = find(name)
    refuse_broken(row)
    due = _between(row, aware(since), min(aware(until), aware(clock())))
    return Wanted([one for batch in batches(due, 500) for one in _without_job(name, batch, alias_of())], len(due))


#: Outcomes of ticks that asked for no job.
JOBLESS = ("skipped", "failed")


def _without_job(name: str, instants: Collection[datetime], alias: str) -> list[datetime]:
    rows = Tick.objects.using(alias).filter(schedule=name, instant__in=[kept(one) for one in instants])
    had = {aware(at) for at in rows.exclude(outcome__in=JOBLESS).values_list("instant", flat=True)}
    return [one for one in instants if one not in had]


def _between(row: Schedule, since: datetime, until: datetime) -> list[datetime]:
    found = list(islice(upcoming(timing(row), since - timedelta.resolution, until), MOST_BACKFILLED + 1))
    if len(found) > MOST_BACKFILLED:
        raise ValueError(f"Those are more than {MOST_BACKFILLED:,} ticks of {row.name}; take them a part at a time.")
    return found
