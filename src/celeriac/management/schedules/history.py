"""`schedules history`: the ticks, and what came of each."""

from typing import Any

from celeriac.management.schedules.telling import WIDE, finest, outcome_cell, wall, why_of, zone_or_ours
from celeriac.management.terminal.moments import span
from celeriac.management.terminal.page import short
from celeriac.management.terminal.screen import Column, Row, Screen, clean
from celeriac.management.terminal.typed import moment_of
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.preview import late_by, tick_json
from celeriac.schedules.queries import job_states, no_schedule, schedules_of, ticks_of

__all__ = ["history", "table_of"]


def history(options: dict[str, Any], screen: Screen) -> None:
    """List ticks, newest first."""
    name = options["name"]
    since = moment_of(options["since"], screen.now) if options["since"] else None
    ticks = ticks_of(name, options["limit"], since)
    rows = schedules_of([name] if name else {tick.schedule for tick in ticks})
    if name and not ticks and name not in rows:
        raise no_schedule(name)
    if options["json"]:
        screen.json([tick_json(tick) for tick in ticks])
    elif ticks:
        table_of(ticks, rows, screen, named=not name)
        if name and name not in rows:
            screen.note("The schedule itself is gone.")
    else:
        screen.note("It has had no tick yet." if name and not since else "There were no ticks.")


def table_of(ticks: list[Tick], rows: dict[str, Schedule], screen: Screen, *, named: bool) -> None:
    """Write a table of ticks; *named*: with the schedules' names, and where it is narrow without jobs."""
    states = job_states(ticks)
    wide = not screen.width or screen.width >= WIDE
    zones = {tick.schedule: zone_or_ours(rows.get(tick.schedule)) for tick in ticks}
    late = {tick.id: late_by(tick) for tick in ticks}
    kinds = wide and any(tick.kind != "due" for tick in ticks)
    jobs = wide or not named
    fine = "seconds" if finest(tick.instant for tick in ticks) != "minutes" else "minutes"
    columns = [
        Column("TICK"),
        *([Column("SCHEDULE", least=12, tail=True)] if named else []),
        *([Column("KIND")] if kinds else []),
        Column("LATE", right=True),
        Column("CAME TO"),
        *([Column("JOB")] if jobs else []),
        Column("WHY", least=12),
    ]
    table: list[Row] = [
        [
            wall(tick.instant, zones[tick.schedule], fine, named=wide),
            *([clean(tick.schedule)] if named else []),
            *([tick.kind] if kinds else []),
            span(seconds) if (seconds := late[tick.id]) is not None else "",
            outcome_cell(tick, states),
            *([_job(tick, screen)] if jobs else []),
            why_of(tick, kind=not wide),
        ]
        for tick in ticks
    ]
    screen.table(columns, table)


def _job(tick: Tick, screen: Screen) -> str:
    if tick.job is None:
        return ""
    return short(tick.job) if screen.width else str(tick.job)
