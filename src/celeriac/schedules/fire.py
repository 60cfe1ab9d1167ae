"""Ticks become jobs: what is due is decided, written down and asked for in one transaction.

A tick is a row that is unique by schedule and instant, and it commits together with its job and with the schedule's
next instant. So any number of schedulers may fire the same schedules: each instant is one row, and one job.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Min, QuerySet

from celeriac import events, faults
from celeriac.api.enqueue import enqueue
from celeriac.ledger.database import alias_of, clock, locked, writing
from celeriac.ledger.ids import job_id
from celeriac.loops import is_conflict, is_outage
from celeriac.schedules import calls, tables
from celeriac.schedules.calls import Call
from celeriac.schedules.definition import aware, kept
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.overlaps import Open, open_jobs
from celeriac.schedules.plan import Plan, plan
from celeriac.schedules.rows import locked_row, rewrite
from celeriac.schedules.watch import tell

__all__ = ["Fired", "fire", "make_jobs"]

#: Schedules in one transaction: their jobs may be a hundred times as many, where ticks were missed.
TOGETHER = 200

logger = logging.getLogger("celeriac")


class Fired(NamedTuple):
    """What a round did: schedules seen to, jobs asked for, and the seconds until the next is due (None: none is)."""

    schedules: int
    jobs: int
    next_due: float | None


def fire(app: Any, limit: int = TOGETHER) -> Fired:
    """See to up to *limit* schedules that are due."""
    next_due = _next_due()
    if next_due is None or next_due > 0.0:
        return Fired(0, 0, next_due)
    try:
        return _fire(app, limit, None)
    except Exception as error:
        if is_outage(error) or is_conflict(error):
            raise
        logger.warning("Schedules could not be fired together (%s); they are fired one by one.", error)
    names = list(_due(clock()).values_list("name", flat=True)[:limit])
    fired = [_fire_alone(app, name) for name in names]
    return Fired(len(fired), sum(one.jobs for one in fired), 0.0)


def _next_due() -> float | None:
    """Return the seconds until the next schedule is due, by the database's clock; one look into an index."""
    soonest = Schedule.objects.using(alias_of()).filter(paused_at__isnull=True).aggregate(at=Min("next_tick"))["at"]
    return None if soonest is None else (soonest - clock()).total_seconds()


def _due(now: datetime) -> QuerySet[Schedule]:
    rows = Schedule.objects.using(alias_of()).filter(next_tick__lte=now, paused_at__isnull=True)
    return rows.order_by("next_tick")


def _fire_alone(app: Any, name: str) -> Fired:
    """Fire one schedule; what cannot be asked for is a tick that failed, and the schedule goes on."""
    try:
        return _fire(app, 1, name)
    except Exception as error:
        if is_outage(error) or is_conflict(error):
            raise
        logger.exception("Schedule %s could not be fired", name)
        with writing() as alias:
            row = locked_row(name, alias)
            if row is not None and row.next_tick is not None:
                failed = plan(row, clock()).failed(f"{type(error).__name__}: {error}")
                _write(app, [failed], {}, clock(), alias)
        return Fired(1, 0, None)


def _fire(app: Any, limit: int, name: str | None) -> Fired:
    with writing() as alias:
        now = clock()
        rows = _due(now) if name is None else _due(now).filter(name=name)
        plans = [plan(row, now) for row in locked(rows)[:limit]]
        faults.point("fire.after_lock")
        _leave_out_what_is_there(plans, alias)
        jobs = make_jobs(app, plans, now, alias)
        faults.point("fire.before_ticks")
        _write(app, plans, jobs, now, alias)
    events.emit("fire", schedules=[one.row.name for one in plans], jobs=len(jobs))
    return Fired(len(plans), len(jobs), _next_due())


def _leave_out_what_is_there(plans: Sequence[Plan], alias: str) -> None:
    """Leave out instants that have a tick: a backfill was there before, or a clock was set back."""
    instants = [kept(tick.instant) for one in plans for tick in one.ticks]
    if not instants:
        return
    names = [one.row.name for one in plans if one.ticks]
    there = Tick.objects.using(alias).filter(schedule__in=names, instant__range=(min(instants), max(instants)))
    known = {(name, aware(instant)) for name, instant in there.values_list("schedule", "instant")}
    for one in plans:
        one.ticks = [tick for tick in one.ticks if (one.row.name, tick.instant) not in known]


#: The job of each tick, by schedule and instant; None for one that was left to the broker.
Jobs = dict[tuple[str, datetime], Any]


def make_jobs(app: Any, plans: Sequence[Plan], now: datetime, alias: str, *, by_hand: bool = False) -> Jobs:
    """Ask for the jobs of *plans*, all in the caller's transaction; a tick that cannot have one says so.

    *by_hand*: whatever jobs of the schedule are open.
    """
    open_ = {} if by_hand else open_jobs([one.row for one in plans if one.overlaps], alias)
    made: list[Call] = []
    for one in plans:
        made += _calls_of(app, one, open_.get(one.row.name), now)
    durable = [call for call in made if call.asked is not None]
    ids = enqueue([call.asked for call in durable if call.asked is not None]) if durable else []
    jobs: Jobs = {call.key: job_id(id_) for call, id_ in zip(durable, ids, strict=True)}
    for call in made:
        if call.asked is None:
            # Left to the broker, as its task says: after the commit, and lost if that cannot be reached.
            transaction.on_commit(call.send, using=alias, robust=True)
            jobs[call.key] = None
    return jobs


def _calls_of(app: Any, one: Plan, open_: Open | None, now: datetime) -> list[Call]:
    made = []
    for index, tick in enumerate(one.ticks):
        if tick.skip:
            continue
        if open_ is not None and not open_.may_fire(one.overlap):
            one.ticks[index] = tick._replace(skip="overlap")
            continue
        try:
            made.append(calls.call_of(app, one, tick.instant, aware(now)))
        except Exception as error:  # noqa: BLE001 - of one schedule; the others are fired
            one.notes[tick.instant] = f"{type(error).__name__}: {error}"
            continue
        if open_ is not None:
            open_.fired()
    return made


def _write(app: Any, plans: Sequence[Plan], jobs: Jobs, now: datetime, alias: str) -> None:
    ticks = [tick for one in plans for tick in one.rows(jobs, now)]
    Tick.objects.using(alias).bulk_create(ticks, batch_size=500)
    for tick in ticks:
        if tick.outcome == "failed" or tick.reason == "misfire":
            tell(app, tick, "missed", alias)
    rows = [one.moved(jobs) for one in plans]
    rewrite(rows, ["last_tick", "next_tick", "skips", "trouble"], alias)
    # Those of the settings too: django-celery-beat's scheduler copied them into its tables, where people look.
    runs = {one.row.name: count for one in plans if (count := one.fired(jobs))}
    if runs and tables.are_there():
        over = [one.row.name for one in plans if one.row.name in runs and one.row.once]
        transaction.on_commit(lambda: _note(runs, over), using=alias)


def _note(runs: Mapping[str, int], over: list[str]) -> None:
    try:
        tables.note_fired(runs, over)
    except Exception as error:
        # The ticks are committed. An outage is told of once, by whoever meets it next.
        logger.warning(
            "What fired could not be noted in django-celery-beat's tables: %s", error, exc_info=not is_outage(error)
        )
