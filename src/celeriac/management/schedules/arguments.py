"""What may be typed after `schedules`: one parser, whichever way in."""

import argparse
from typing import Any

from celeriac.management.schedules.acting import backfill, run, skip, switch
from celeriac.management.schedules.checking import check
from celeriac.management.schedules.following import following
from celeriac.management.schedules.history import history
from celeriac.management.schedules.listing import list_schedules
from celeriac.management.schedules.showing import show
from celeriac.management.terminal.arguments import add_by, begin, command, count

__all__ = ["add"]

EXAMPLES = """\
examples:
  %(prog)s list --trouble                 what cannot fire, or looks wrong
  %(prog)s next -n 20                     what is due next, of all schedules
  %(prog)s next nightly-report            in its own time zone, and in UTC
  %(prog)s history nightly-report         its ticks, and what came of each
  %(prog)s skip nightly-report --why "the warehouse is counted"
  %(prog)s backfill nightly-report --since 2026-07-01 --until 2026-07-08
  %(prog)s check                          status 1 when nobody fires them

`%(prog)s list --help` tells of one command.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the commands to the parser of `schedules`."""
    commands = begin(parser, EXAMPLES)

    listed = command(commands, "list", "schedules: how they stand, when they are due, what came of it", list_schedules)
    listed.add_argument(
        "--source", choices=["settings", "task", "table"], help="where it is written (table: the admin)"
    )
    listed.add_argument("--task", default="", metavar="NAME", help="the task's whole name")
    listed.add_argument("--trouble", action="store_true", help="those that cannot fire, or look wrong")
    listed.add_argument("--overdue", action="store_true", help="those with a tick that nobody has seen to")
    listed.add_argument("--limit", type=count, default=200, metavar="N", help="so many at most (200)")

    nexts = command(commands, "next", "the next runs of a schedule, or of all", following)
    nexts.add_argument("name", nargs="?", default="", metavar="NAME")
    nexts.add_argument("-n", dest="limit", type=count, default=10, metavar="N", help="so many (10)")

    shown = command(commands, "show", "all that is known of a schedule", show)
    shown.add_argument("name", metavar="NAME")

    told = command(commands, "history", "ticks, newest first, and what came of each", history)
    told.add_argument("name", nargs="?", default="", metavar="NAME")
    told.add_argument("--since", metavar="TIME", help="seen to since 30m, 2h, 1d, or ISO 8601")
    told.add_argument("--limit", type=count, default=20, metavar="N", help="so many at most (20)")

    _add_operations(commands)

    checked = command(commands, "check", "status 1 and a line for each that is overdue or in trouble", check)
    checked.add_argument("names", nargs="*", metavar="NAME", help="only these, which must be there; else all")


def _add_operations(commands: Any) -> None:
    ran = command(commands, "run", "ask for a job of it now, whatever its policies say", run)
    ran.add_argument("name", metavar="NAME")
    add_by(ran)

    for verb, text in (
        ("pause", "let schedules fire nothing until they are resumed"),
        ("resume", "let them fire again"),
    ):
        switched = command(commands, verb, text, switch)
        switched.set_defaults(verb=verb)
        switched.add_argument("names", nargs="*", metavar="NAME")
        switched.add_argument("--all", action="store_true", help="all schedules")
        add_by(switched)

    skipped = command(commands, "skip", "take one tick out: the next, or that of --at", skip)
    skipped.add_argument("name", metavar="NAME")
    skipped.add_argument(
        "--at", metavar="TIME", help="as `next` shows it: the schedule's local time, or with an offset"
    )
    skipped.add_argument("--undo", action="store_true", help="put it back")
    add_by(skipped)

    filled = command(
        commands, "backfill", "ask for a job of each tick of a time that is past and has had none", backfill
    )
    filled.description += " It is only shown, until you add --yes."
    filled.add_argument("name", metavar="NAME")
    filled.add_argument(
        "--since", metavar="TIME", required=True, help="2h, 1d, or ISO 8601 in the schedule's local time"
    )
    filled.add_argument("--until", metavar="TIME", help="the same, until, included; now")
    filled.add_argument("--yes", action="store_true", help="do it")
    add_by(filled)
