"""`jobs actions`: what operators asked for, how far it has come; and stopping what goes on."""

from typing import Any

from django.core.management.base import CommandError

from celeriac.api import operate
from celeriac.ledger.audit import Action
from celeriac.ledger.database import alias_of
from celeriac.management.jobs.acting import action_json
from celeriac.management.jobs.choose import one_of
from celeriac.management.terminal.arguments import by_of
from celeriac.management.terminal.moments import span
from celeriac.management.terminal.page import short
from celeriac.management.terminal.screen import Cell, Column, Row, Screen, clean, one_line

__all__ = ["actions", "table_of"]

_STYLES = {"open": "WARNING", "stopped": "ERROR", "done": "SUCCESS"}


def actions(options: dict[str, Any], screen: Screen) -> None:
    """List the latest actions, or the one that is named; or stop it."""
    words = options["words"]
    stop = bool(words) and words[0] == "stop"
    rows = Action.objects.using(alias_of())
    if stop and len(words) != 2:
        raise CommandError("Name the action to stop by its id, or the beginning of it.")
    ids = [one_of(rows, word, "action") for word in words[1 if stop else 0 :]]
    if stop:
        _stop(rows.get(id=ids[0]), options, screen)
        return
    found = list(rows.filter(id__in=ids) if ids else rows.order_by("-created_at")[: options["limit"]])
    if options["json"]:
        screen.json([action_json(action) for action in found])
    elif found:
        table_of(found, screen)
    else:
        screen.note("No operator has done anything yet.")


def _stop(action: Action, options: dict[str, Any], screen: Screen) -> None:
    if not operate.stop(action, by_of(options)):
        raise CommandError(f"It is {action.state} already: {action.changed:,} jobs were changed.")
    if options["json"]:
        screen.json(action_json(action))
        return
    screen.line(f"Stopped. {action.changed:,} of {action.matched:,} jobs were changed, and stay so.", "SUCCESS")


def table_of(found: list[Action], screen: Screen) -> None:
    """Write a table of actions."""
    columns = [
        Column("ID"),
        Column("BEGUN", right=True),
        Column("BY", least=8),
        Column("VERB"),
        Column("STATE"),
        Column("DONE", right=True),
        Column("WHAT", least=16),
    ]
    rows: list[Row] = [
        [
            short(action.id) if screen.width else str(action.id),
            span(round((screen.now - action.created_at).total_seconds())),
            clean(action.actor),
            action.verb,
            Cell(action.state, _STYLES.get(action.state, "")),
            f"{action.changed:,}/{action.matched:,}",
            _what(action),
        ]
        for action in found
    ]
    screen.table(columns, rows)


def _what(action: Action) -> str:
    parts = [one_line(action.reason), clean(action.selected), clean(action.note)]
    return "; ".join(part for part in parts if part)
