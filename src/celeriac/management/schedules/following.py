"""`schedules next`: when a schedule is due next, or all of them."""

from typing import Any

from celeriac.management.schedules.listing import NONE
from celeriac.management.schedules.telling import finest, since, wall
from celeriac.management.terminal.screen import Cell, Column, Row, Screen, clean
from celeriac.schedules.models import Schedule
from celeriac.schedules.preview import Coming, coming, coming_json, coming_of_all, is_overdue, standing
from celeriac.schedules.queries import count_of, find, soonest
from celeriac.schedules.words import WHY_NOT

__all__ = ["following", "table_of"]


def following(options: dict[str, Any], screen: Screen) -> None:
    """List the next runs."""
    if options["name"]:
        row = find(options["name"])
        rows = [row]
        found = [(one, row) for one in coming(row, options["limit"], screen.now)]
    else:
        rows = soonest(screen.now, options["limit"])
        found = coming_of_all(rows, options["limit"], screen.now)
    if options["json"]:
        screen.json([{"name": row.name, **coming_json(one)} for one, row in found])
        return
    if found:
        table_of(found, screen, named=not options["name"])
    elif options["name"]:
        screen.note(_never(rows[0], screen))
    else:
        screen.note("Nothing is due any more." if count_of() else NONE)
    if overdue := [row for row in rows if is_overdue(row, screen.now)]:
        others = f" and {len(overdue) - 1:,} more" if len(overdue) > 1 else ""
        screen.note(f"Overdue: {overdue[0].name}{others}. Does a worker run? See: {screen.program} list --overdue")


def table_of(found: list[tuple[Coming, Schedule]], screen: Screen, *, named: bool) -> None:
    """Write a table of ticks to come; *named*: with the schedules' names."""
    reasons = any(one.reason for one, _ in found)
    columns = [
        Column("LOCAL"),
        Column("UTC"),
        Column("IN", right=True),
        *([Column("SCHEDULE", least=12, tail=True)] if named else []),
        *([Column("WHY NO JOB", least=12)] if reasons else []),
    ]
    fine = finest(one.instant for one, _ in found)
    rows: list[Row] = [
        [
            wall(one.instant, one.local.tzinfo, fine) if one.local.tzinfo else "",
            wall(one.instant, fine=fine, named=False),
            since(one.instant, screen),
            *([clean(row.name)] if named else []),
            *([Cell(WHY_NOT.get(one.reason, one.reason), "WARNING")] if reasons else []),
        ]
        for one, row in found
    ]
    screen.table(columns, rows)


def _never(row: Schedule, screen: Screen) -> str:
    why = {
        "off": "it is disabled",
        "over": "it is over",
        "broken": row.trouble,
    }
    return clean(f"Schedule {row.name} is not due any more: {why.get(standing(row, screen.now), 'it is over')}")
