"""What an action would do, before it is done: how many jobs, of what, how old."""

from collections import Counter
from typing import Any

from django.core.management.base import CommandError

from celeriac.ledger.dead import CAP
from celeriac.ledger.operators import VERBS, count_of
from celeriac.ledger.selection import Selection
from celeriac.management.jobs.telling import STYLES
from celeriac.management.terminal.moments import local
from celeriac.management.terminal.page import iso, stored
from celeriac.management.terminal.screen import Cell, Column, Row, Screen, clean

__all__ = ["counted", "preview"]


def counted(number: int, selection: Selection | None = None) -> str:
    """Return "3 jobs", or "3 dead jobs of task shop.pay"."""
    said = clean(str(selection)).removeprefix("all ") if selection is not None and not selection.ids else "jobs"
    return f"{number:,} {said.replace('jobs', 'job', 1) if number == 1 else said}"


def preview(verb: str, selection: Selection, options: dict[str, Any], screen: Screen) -> None:
    """Say what *verb* would be done to; do nothing.

    Raises:
        CommandError: when there is no such job.
    """
    chosen = selection.within(sorted(VERBS[verb].states))
    matched = count_of(chosen, None)
    if not matched:
        raise CommandError(f"There are no {chosen}.")
    moment = chosen.moment
    rows = chosen.rows()
    parts = Counter(list(rows.order_by(f"-{moment}").values_list("task", "state")[:CAP])).most_common()
    newest = rows.order_by(f"-{moment}").values_list(moment, flat=True).first()
    oldest = rows.order_by(moment).values_list(moment, flat=True).first()
    if options["json"]:
        screen.json(
            {
                "dry_run": True,
                "verb": verb,
                "selection": stored(chosen.as_json()),
                "matched": matched,
                "parts": [{"task": task, "state": state, "count": count} for (task, state), count in parts],
                "oldest": iso(oldest),
                "newest": iso(newest),
            }
        )
        return
    screen.line(f"Would {verb} {counted(matched, chosen)}.", "MIGRATE_LABEL")
    screen.line()
    columns = [Column("JOBS", right=True), Column("STATE"), Column("TASK", least=16, tail=True)]
    table: list[Row] = [
        [f"{count:,}", Cell(state, STYLES.get(state, "")), clean(task)] for (task, state), count in parts
    ]
    screen.table(columns, table)
    if matched > CAP:
        screen.line(f"(of the newest {CAP:,})")
    screen.line()
    asked = "ended" if moment == "finished_at" else "asked for"
    if oldest is not None and newest is not None:
        screen.line(f"oldest  {asked} {local(oldest, screen.now)}")
        screen.line(f"newest  {asked} {local(newest, screen.now)}")
        screen.line()
    why = " and --why TEXT" if verb == "discard" and not options["why"] else ""
    screen.note(f"Nothing was done. To {verb} them, add --yes{why}." if not options["dry_run"] else "Nothing was done.")
