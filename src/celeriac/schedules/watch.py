"""The dead man's switch: how the jobs of ticks ended is written down, and somebody told of what did not happen."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from celeriac.api import payload
from celeriac.api.builtins import TELL_OF_TICK
from celeriac.ledger import bell
from celeriac.ledger.columns import BATCH
from celeriac.ledger.database import alias_of, clock, writing
from celeriac.ledger.ids import NAMESPACE
from celeriac.ledger.models import Job
from celeriac.ledger.rows import NewJob
from celeriac.ledger.states import ENDED, State
from celeriac.ledger.verbs.insert import insert
from celeriac.schedules.definition import aware
from celeriac.schedules.models import Tick
from celeriac.signals import schedule_missed

__all__ = ["prune", "tell", "watch"]

logger = logging.getLogger("celeriac")

_WORDS = {
    "missed": "was not fired",
    "dead": "was fired, and its job has not succeeded: it is over",
    "overdue": "was fired, and its job has not succeeded in time",
}


def watch(app: Any, after: int = 0) -> int:
    """Look at up to a batch of fired ticks from the id *after* on; return where to go on, 0 for the beginning."""
    ticks = list(Tick.objects.using(alias_of()).filter(outcome="fired", id__gt=after).order_by("id")[:BATCH])
    if not ticks:
        return 0
    now = clock()
    jobs = {
        id_: (state, ended)
        for id_, state, ended in Job.objects.using(alias_of())
        .filter(id__in=[tick.job for tick in ticks])
        .values_list("id", "state", "finished_at")
    }
    changed = [tick for tick in ticks if _is_changed(tick, jobs, now)]
    if changed:
        with writing() as alias:
            # One by one: another scheduler may look at the same, and who comes second tells nobody.
            for tick in changed:
                _write(app, tick, alias)
    return ticks[-1].id if len(ticks) == BATCH else 0


def _is_changed(tick: Tick, jobs: dict[UUID, tuple[str, datetime | None]], now: datetime) -> bool:
    state, ended = jobs.get(tick.job, ("gone", now)) if tick.job else ("gone", now)
    over = state in ENDED or state == "gone"
    if over:
        tick.outcome, tick.ended_at = state, ended or now
    by = tick.ended_at if over and tick.ended_at is not None else now
    if tick.deadline is not None and not tick.told:
        if state == State.SUCCEEDED:
            tick.told = "overdue" if by > tick.deadline else ""
        elif over and state != "gone":
            tick.told = "dead"
        elif now > tick.deadline and not over:
            tick.told = "overdue"
        return over or bool(tick.told)
    return over


def _write(app: Any, tick: Tick, alias: str) -> None:
    rows = Tick.objects.using(alias).filter(id=tick.id, outcome="fired")
    if tick.told:
        untold = rows.filter(told="").update(outcome=tick.outcome, ended_at=tick.ended_at, told=tick.told)
        if untold:
            tell(app, tick, tick.told, alias)
            return
    rows.update(outcome=tick.outcome, ended_at=tick.ended_at)


def tell(app: Any, tick: Tick, why: str, alias: str) -> None:
    """Log what did not happen, and have whoever receives `schedule_missed` told, by a job, once."""
    logger.error("Schedule %s: the tick of %s %s.", tick.schedule, aware(tick.instant).isoformat(), _WORDS[why])
    if not schedule_missed.receivers:
        return
    instant = aware(tick.instant).isoformat()
    queue = str(app.conf.task_default_queue)
    id_ = uuid5(NAMESPACE, f"{TELL_OF_TICK}:{tick.schedule}:{instant}:{why}")
    args = payload.encode([tick.schedule, instant, why])
    insert([NewJob(id_, TELL_OF_TICK, queue, args=args, headers='{"ignore_result":true}')], using=alias)
    bell.ring_on_commit([queue])


def prune(before: datetime) -> int:
    """Delete up to a batch of ticks from before *before*, but those whose jobs are watched; return how many."""
    old: Sequence[int] = list(
        Tick.objects.using(alias_of())
        .filter(fired_at__lt=before)
        .exclude(outcome="fired")
        .order_by("fired_at")
        .values_list("id", flat=True)[:BATCH]
    )
    if old:
        Tick.objects.using(alias_of()).filter(id__in=old).delete()
    return len(old)
