"""What people and programs ask of schedules and of their ticks."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet

from celeriac.errors import NoSchedule
from celeriac.ledger.audit import Action
from celeriac.ledger.columns import batches
from celeriac.ledger.database import alias_of
from celeriac.ledger.models import Job
from celeriac.ledger.states import State
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.preview import OVERDUE

__all__ = [
    "Late",
    "actions_on",
    "count_of",
    "doubtful",
    "find",
    "job_states",
    "last_ticks",
    "late",
    "listed",
    "no_schedule",
    "schedules_of",
    "soonest",
    "ticks_of",
]

#: Of the names that look like one that is none.
NEAR = 3


class Late(NamedTuple):
    """A tick whose job has not succeeded in time, and how that job stands ("gone": not in the ledger)."""

    tick: Tick
    state: str


def find(name: str) -> Schedule:
    """Return the schedule named *name*.

    Raises:
        NoSchedule: when there is none; the message names those that look like it.
    """
    row = Schedule.objects.using(alias_of()).filter(name=name).first()
    if row is None:
        raise no_schedule(name)
    return row


def no_schedule(name: str) -> NoSchedule:
    """Return the error that says so."""
    names = list(Schedule.objects.using(alias_of()).order_by("name").values_list("name", flat=True))
    near = get_close_matches(name, names, NEAR) or [one for one in names if name.lower() in one.lower()][:NEAR]
    if near:
        return NoSchedule(f"There is no schedule {name!r}. Did you mean {' or '.join(map(repr, near))}?")
    if names:
        return NoSchedule(f"There is no schedule {name!r}; `schedules list` names those that there are.")
    return NoSchedule(f"There is no schedule {name!r}, nor any other: a worker writes them here when it starts.")


# -- schedules


def schedules_of(names: Iterable[str] | None = None) -> dict[str, Schedule]:
    """Return the schedules of these names, as far as there are any, or all; by name."""
    rows = Schedule.objects.using(alias_of()).order_by("name")
    if names is None:
        return {row.name: row for row in rows}
    return {row.name: row for some in batches(names) for row in rows.filter(name__in=some)}


def count_of() -> int:
    """Return how many schedules there are."""
    return Schedule.objects.using(alias_of()).count()


def doubtful(now: datetime) -> list[Schedule]:
    """Return the schedules that are to fire and do not, or look as if they will not: overdue, broken, in trouble."""
    rows = Schedule.objects.using(alias_of()).filter(paused_at__isnull=True, enabled=True)
    return list(rows.filter(~Q(trouble="") | Q(next_tick__lt=now - timedelta(seconds=OVERDUE))).order_by("name"))


def listed(
    now: datetime, *, source: str = "", task: str = "", trouble: bool = False, overdue: bool = False
) -> QuerySet[Schedule]:
    """Return schedules by name: all, or those that all of the filters match."""
    rows = Schedule.objects.using(alias_of()).order_by("name")
    if source:
        rows = rows.filter(source=source)
    if task:
        rows = rows.filter(task=task)
    if trouble:
        rows = rows.exclude(trouble="")
    if overdue:
        rows = rows.filter(paused_at__isnull=True, next_tick__lt=now - timedelta(seconds=OVERDUE))
    return rows


def soonest(now: datetime, count: int) -> list[Schedule]:
    """Return all schedules that the next *count* ticks of all can be of."""
    rows = Schedule.objects.using(alias_of())
    # Where a row stands in the past, it says nothing of when the schedule is due next.
    behind = rows.filter(next_tick__lte=now)
    return [*behind, *rows.filter(next_tick__gt=now).order_by("next_tick", "name")[:count]]


def actions_on(name: str, limit: int) -> list[Action]:
    """Return what operators did to a schedule, newest first."""
    return list(Action.objects.using(alias_of()).filter(schedule=name).order_by("-created_at")[:limit])


# -- ticks


def ticks_of(name: str = "", limit: int = 20, since: datetime | None = None) -> list[Tick]:
    """Return the ticks of a schedule, or of all, as they were seen to, newest first."""
    rows = Tick.objects.using(alias_of()).order_by("-id")
    if name:
        rows = rows.filter(schedule=name)
    if since is not None:
        rows = rows.filter(fired_at__gte=since)
    return list(rows[:limit])


def last_ticks(rows: Sequence[Schedule]) -> dict[str, Tick]:
    """Return the last tick of each schedule that has one, by name; what was run by hand is none."""
    found: dict[str, Tick] = {}
    for batch in batches(row for row in rows if row.last_tick is not None):
        last = {row.name: row.last_tick for row in batch}
        # Two lists, since not every database compares pairs; what is of another instant is left out here.
        ticks = Tick.objects.using(alias_of()).filter(schedule__in=list(last), instant__in=set(last.values()))
        found |= {tick.schedule: tick for tick in ticks if last[tick.schedule] == tick.instant}
    return found


def job_states(ticks: Iterable[Tick]) -> dict[UUID, str]:
    """Return how the jobs stand of those ticks whose jobs nobody has seen the end of."""
    ids = [tick.job for tick in ticks if tick.outcome == "fired" and tick.job is not None]
    jobs = Job.objects.using(alias_of())
    return {id_: state for some in batches(ids) for id_, state in jobs.filter(id__in=some).values_list("id", "state")}


def late(now: datetime) -> list[Late]:
    """Return the ticks whose jobs should have succeeded by *now*, and have not."""
    ticks = list(Tick.objects.using(alias_of()).filter(outcome="fired", deadline__lt=now).order_by("id"))
    states = job_states(ticks)
    found = [Late(tick, states.get(tick.job, "gone") if tick.job else "gone") for tick in ticks]
    return [one for one in found if one.state != State.SUCCEEDED]
