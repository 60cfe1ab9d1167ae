"""`schedules list`: which there are, how they stand, when they are due, and what came of the last time."""

import textwrap
from typing import Any

from celeriac.management.schedules.telling import WIDE, finest, outcome_cell, since, standing_cell, wall, zone_or_ours
from celeriac.management.terminal.screen import Cell, Column, Row, Screen, clean
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.preview import Coming, as_json, coming, is_overdue
from celeriac.schedules.queries import job_states, last_ticks, listed
from celeriac.schedules.words import in_words

__all__ = ["NONE", "list_schedules"]

NONE = "There are no schedules. A worker (or `celery beat`) writes the project's into the ledger when it starts."


def list_schedules(options: dict[str, Any], screen: Screen) -> None:
    """List schedules by name."""
    filters = {name: options[name] for name in ("source", "task", "trouble", "overdue") if options[name]}
    found = listed(screen.now, **filters)
    rows = list(found[: options["limit"]])
    last = last_ticks(rows)
    if options["json"]:
        screen.json([as_json(row, screen.now, last.get(row.name)) for row in rows])
        return
    if not rows:
        screen.note("There are no such schedules." if filters else NONE)
        return
    _table(rows, last, screen)
    _troubles(rows, screen)
    if len(rows) == options["limit"] and (count := found.count()) > len(rows):
        screen.note(f"The first {len(rows):,} of {count:,} schedules; --limit shows more.")


def _table(rows: list[Schedule], last: dict[str, Tick], screen: Screen) -> None:
    columns = [
        Column("NAME", least=12, tail=True),
        Column("STATE"),
        Column("SCHEDULE", least=14),
        Column("NEXT RUN"),
        Column("LAST", right=True),
        Column("CAME TO"),
    ]
    states = job_states(last.values())
    nexts = {row.name: next(iter(coming(row, 1, screen.now)), None) for row in rows}
    table: list[Row] = []
    for row in rows:
        tick = last.get(row.name)
        table.append(
            [
                clean(row.name),
                standing_cell(row, screen.now),
                clean(in_words(row)) if row.timing != "{}" else "-",
                _next(row, nexts[row.name], screen),
                since(row.last_tick, screen) if row.last_tick is not None else "",
                outcome_cell(tick, states) if tick is not None else "",
            ]
        )
    screen.table(columns, table)


def _next(row: Schedule, one: Coming | None, screen: Screen) -> Cell:
    if is_overdue(row, screen.now) and row.next_tick is not None:
        return Cell(f"{since(row.next_tick, screen)} overdue", "ERROR")
    if one is None:
        return Cell("-")
    wide = not screen.width or screen.width >= WIDE
    text = wall(one.instant, zone_or_ours(row), finest([one.instant]), named=wide)
    return Cell(f"({text})" if one.reason else text)


def _troubles(rows: list[Schedule], screen: Screen) -> None:
    """Say below the table what is wrong: sentences, and no column is wide enough for them."""
    troubled = [row for row in rows if row.trouble]
    if troubled:
        screen.line()
    for row in troubled:
        said = clean(f"{row.name}: {row.trouble}")
        screen.line("\n".join(textwrap.wrap(said, screen.width, subsequent_indent="  ")) if screen.width else said)
