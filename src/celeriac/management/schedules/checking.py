"""`schedules check`: for whoever looks from outside, since nobody inside can tell when nothing runs."""

import sys
from typing import Any

from celeriac.management.schedules.listing import NONE
from celeriac.management.schedules.telling import since, wall
from celeriac.management.terminal.screen import Screen, clean, one_line
from celeriac.schedules.models import Schedule
from celeriac.schedules.preview import is_overdue, standing, tick_json
from celeriac.schedules.queries import count_of, doubtful, late, no_schedule, schedules_of

__all__ = ["check"]


def check(options: dict[str, Any], screen: Screen) -> None:
    """Say what is wrong; leave with status 1 if anything is.

    Raises:
        SystemExit: 1.
    """
    names = set(options["names"])
    if missing := sorted(names - set(schedules_of(sorted(names)))) if names else []:
        raise no_schedule(missing[0])
    found = [_of_schedule(row, screen) for row in doubtful(screen.now) if not names or row.name in names]
    found += [
        {
            "name": one.tick.schedule,
            "what": "late",
            "says": f"the job of {wall(one.tick.instant)} has not succeeded in time; it is {one.state}",
            "tick": tick_json(one.tick),
        }
        for one in late(screen.now)
        if not names or one.tick.schedule in names
    ]
    count = len(names) or count_of()
    if options["json"]:
        screen.json({"ok": not found, "schedules": count, "wrong": found})
    else:
        for one in found:
            screen.line(f"{clean(one['name'])}: {one_line(one['says'])}", "ERROR")
        if not found:
            screen.line(f"OK: {count:,} schedule{'s' if count != 1 else ''}." if count else NONE, "SUCCESS")
    if found:
        sys.exit(1)


def _of_schedule(row: Schedule, screen: Screen) -> dict[str, Any]:
    if is_overdue(row, screen.now) and row.next_tick is not None:
        says = f"overdue for {since(row.next_tick, screen)}: was due {wall(row.next_tick)} and nobody has fired it"
        return {"name": row.name, "what": "overdue", "says": says, "tick": None}
    what = "broken" if standing(row, screen.now) == "broken" else "trouble"
    return {"name": row.name, "what": what, "says": row.trouble, "tick": None}
