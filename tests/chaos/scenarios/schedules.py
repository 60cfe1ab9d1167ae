"""Schedules that are due each second, five schedulers, and what befalls them: each tick is to be one job.

Celeriac's schedulers are three workers and two `celery beat`; stock Celery's are beats, one as its documentation asks,
or five where the point is that there are several. Recovery is the latest that a tick's body began after the tick.
Stock's jobs do not say which tick they are of, so there it is counted how many are missing, or too many.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import connections

from tests.chaos.scenarios.clocks import Clock
from tests.chaos.scenarios.ledgers import crash_and_revive
from tests.chaos.scenarios.registry import BOTH, scenario
from tests.chaos.stage import Stage, Ticks
from tests.waiting import wait_until

KIND = "schedules"
SCHEDULES = 5
SECONDS = 30.0

#: Another worker leads within five seconds; the rest is its first look, and a machine that starts workers meanwhile.
TAKEOVER = 5.0


def tick_tock(
    stage: Stage, hurt: Callable[[Stage], None], *, beats: int = 1, limit: float | None = TAKEOVER, **start: object
) -> None:
    """Let schedules be due for half a minute, in the middle of which *hurt* happens."""
    stage.limit = limit
    stage.crew.env["CHAOS_SCHEDULES"] = str(SCHEDULES)
    stage.crew.start(3 if stage.is_ours else 1)
    stage.crew.start_beats(2 if stage.is_ours else beats, **start)
    stage.wait_for_starts(SCHEDULES)
    begun = time.monotonic()
    stage.pause(stage.times(4))
    hurt(stage)
    stage.pause(max(0.0, begun + SECONDS * stage.scale - time.monotonic()))
    (_of_ours if stage.is_ours else _of_stock)(stage, begun)


def _of_ours(stage: Stage, begun: float) -> None:
    from celeriac.ledger.database import clock
    from celeriac.models import Job, Schedule, Tick
    from celeriac.schedules.definition import timing

    connections.close_all()  # the database was away
    until = clock() - timedelta(seconds=2)  # what is due now has not been looked at
    wait_until(lambda: not Schedule.objects.filter(next_tick__lte=until).exists(), 30, every=0.1)
    Schedule.objects.update(paused_at=clock())
    wait_until(lambda: not Job.objects.filter(finished_at__isnull=True).exists(), 30, every=0.1)
    due = {
        (row.name, instant) for row in Schedule.objects.all() for instant in _instants(timing(row), row.anchor, until)
    }
    heads = [
        json.loads(text)["headers"] for text in Job.objects.filter(state="succeeded").values_list("headers", flat=True)
    ]
    made = Counter((head["celeriac_schedule"], datetime.fromisoformat(head["celeriac_tick"])) for head in heads)
    doubled = sum(count - 1 for count in made.values())
    rows = Tick.objects.filter(job__isnull=False).count()
    stage.ticks = Ticks(len(due), len(due - set(made)), doubled, abs(rows - Job.objects.count()))
    starts = {run.number: run.start for run in stage.runs()}
    offset = time.time() - time.monotonic()
    late = [starts[number] + offset - number // 10 for number in starts if starts[number] > begun]
    stage.recovery = max(late, default=None)
    fired = [
        (tick.fired_at - tick.instant).total_seconds()
        for tick in Tick.objects.filter(outcome__in=["fired", "succeeded"])
    ]
    stage.notes.append(
        f"{sum(second > 1 for second in fired)} of {len(fired)} ticks were fired more than a second late"
    )


def _instants(timing: object, begin: datetime, until: datetime) -> list[datetime]:
    found, instant = [], timing.after(begin)
    while instant <= until:
        found.append(instant)
        instant = timing.after(instant)
    return found


def _of_stock(stage: Stage, begun: float) -> None:
    """Count: as many jobs of a schedule as seconds have passed, but for the one before and the one after."""
    seconds = time.monotonic() - begun - 2.0  # of grace, for what is on its way
    counts = Counter(run.number % 10 for run in stage.runs() if begun <= run.start < begun + seconds)
    wanted = int(seconds)
    lost = sum(max(0, wanted - 1 - counts[index]) for index in range(SCHEDULES))
    doubled = sum(max(0, counts[index] - wanted - 1) for index in range(SCHEDULES))
    stage.ticks = Ticks(wanted * SCHEDULES, lost, doubled, 0)


@scenario("schedulers", KIND, databases=BOTH)
def schedulers(stage: Stage) -> None:
    """Five schedulers at once, as during each deploy."""
    tick_tock(stage, lambda stage: stage.fault("five at once"), beats=5)


@scenario("schedule-leader", KIND)
def schedule_leader(stage: Stage) -> None:
    """The scheduler that leads is stopped past its lease, and goes on; then another is killed."""

    def hurt(stage: Stage) -> None:
        for beat in stage.crew.beats if stage.is_ours else ():
            stage.crew.term_beat(beat)  # or they would fire in its place
        victim = _leader(stage) if stage.is_ours else stage.crew.beats[0]
        stage.fault("leader stopped 10 s", lambda: stage.crew.freeze(victim))
        stage.pause(10.0)
        stage.crew.thaw(victim)
        stage.pause(2.0)
        victim = _leader(stage) if stage.is_ours else stage.crew.beats[0]
        stage.fault("leader killed", lambda: stage.crew.kill_all(victim))
        if not stage.is_ours:
            stage.crew.start_beats(1)  # as a process manager would

    tick_tock(stage, hurt)


def _leader(stage: Stage) -> object:
    from celeriac.models import Lease, Worker

    name = Worker.objects.get(id=Lease.objects.get(name="upkeep").holder).hostname
    return next(worker for worker in stage.crew.workers if f"{worker.log.stem}@chaos" == name)


@scenario("schedule-broker", KIND)
def schedule_broker(stage: Stage) -> None:
    """The broker is killed, and back after 6 s: firing needs none."""

    def hurt(stage: Stage) -> None:
        stage.fault("broker killed", stage.broker.crash)
        stage.pause(6.0)
        stage.broker.revive()

    tick_tock(stage, hurt)


@scenario("schedule-restart", KIND)
def schedule_restart(stage: Stage) -> None:
    """PostgreSQL is stopped in immediate mode and started again, and later away for 4 s."""

    def hurt(stage: Stage) -> None:
        crash_and_revive(stage)
        stage.pause(4.0)
        stage.outage(stage.postgres.crash, stage.postgres.revive, 4.0, "4 s away")

    tick_tock(stage, hurt, limit=4.0 + TAKEOVER)


@scenario("schedule-clock", KIND)
def schedule_clock(stage: Stage) -> None:
    """The clock of a scheduler's node is an hour ahead, then an hour behind, then right again."""
    stepped = Clock(stage.home)

    def hurt(stage: Stage) -> None:
        for seconds in (3600, -3600, 0):
            stage.fault(f"clock {seconds:+d} s", lambda seconds=seconds: stepped.step(seconds))
            stage.pause(4.0)

    tick_tock(stage, hurt, env=stepped.env)
