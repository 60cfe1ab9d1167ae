"""What may be typed after `jobs`: one parser, whichever way in."""

import argparse
from typing import Any

from celeriac.management.jobs.acting import operate_on
from celeriac.management.jobs.actions import actions
from celeriac.management.jobs.choose import add_filters
from celeriac.management.jobs.counting import stats
from celeriac.management.jobs.listing import list_jobs
from celeriac.management.jobs.showing import show
from celeriac.management.jobs.tailing import tail
from celeriac.management.terminal.arguments import add_by, begin, command, count

__all__ = ["add"]

EXAMPLES = """\
examples:
  %(prog)s list --groups                  what is dead, by what it died of
  %(prog)s list --task shop.pay --since 2h
  %(prog)s show 019ac4f0-1c2d             one job: arguments, attempts, traceback
  %(prog)s replay 019ac4f0-1c2d           send it back, at once
  %(prog)s replay --group 4be1            how many that would be
  %(prog)s replay --group 4be1 --yes --canary
  %(prog)s tail                           what happens, as it happens

`%(prog)s list --help` tells of one command.
"""

_LIST = "jobs, newest first: the dead, or those that the filters match"
_SHOW = "all that is known of a job"
_ACTIONS = "what operators have asked for; `actions stop ID` stops it"
_VERBS = {
    "replay": "send dead jobs back, as if they were asked for now",
    "discard": "put dead jobs away, with the reason why",
    "cancel": "end open jobs; those that run are asked",
}
_FIRST = "What filters match is only shown, until you add --yes. Jobs named by their ids are done at once."


def add(parser: argparse.ArgumentParser) -> None:
    """Add the commands to the parser of `jobs`."""
    commands = begin(parser, EXAMPLES)

    listed = command(commands, "list", _LIST, list_jobs)
    listed.add_argument("--groups", action="store_true", help="the dead, grouped by what they died of")
    listed.add_argument("--limit", type=count, default=50, metavar="N", help="so many at most (50)")
    add_filters(listed, "dead")

    shown = command(commands, "show", _SHOW, show)
    shown.add_argument("ids", nargs="+", metavar="ID", help="a job's id, or the beginning of it")
    shown.add_argument("--all", action="store_true", help="the tracebacks of all attempts")

    for verb, text in _VERBS.items():
        _add_verb(commands, verb, text)

    tailed = command(commands, "tail", "what happens, as it happens, until Ctrl-C", tail)
    tailed.add_argument("-n", dest="last", type=count, default=10, metavar="N", help="the last N first (10)")
    add_filters(tailed, "all ends, and attempts that did not succeed", times=False)

    counted = command(commands, "stats", "how many jobs stand where, and who works", stats)
    counted.add_argument("--tasks", action="store_true", help="by task instead of by queue")

    acted = command(commands, "actions", _ACTIONS, actions)
    acted.add_argument("words", nargs="*", metavar="[stop] ID", help="the beginning of an id is enough")
    acted.add_argument("--limit", type=count, default=20, metavar="N", help="so many at most (20)")
    add_by(acted)


def _add_verb(commands: Any, verb: str, text: str) -> None:
    parser = command(commands, verb, text, operate_on)
    parser.description = f"{parser.description} {_FIRST}"
    parser.set_defaults(
        verb=verb, rate=None, canary=False, force=False, new_args=None, new_kwargs=None, terminate=False
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help="a job's id, or the beginning of it")
    parser.add_argument("--yes", action="store_true", help="do it to all that the filters match")
    parser.add_argument("--all", action="store_true", help="without a filter, all that can be")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done, also with ids")
    parser.add_argument("--no-wait", action="store_true", help="leave what is left to the worker that leads")
    if verb == "replay":
        parser.add_argument("--rate", type=float, metavar="N", help="let N jobs a second become due")
        parser.add_argument("--canary", action="store_true", help="one, then ten, then all; stop if one fails again")
        parser.add_argument("--force", action="store_true", help="also jobs that succeeded")
        parser.add_argument("--args", dest="new_args", metavar="JSON", help="of one job: these positional arguments")
        parser.add_argument("--kwargs", dest="new_kwargs", metavar="JSON", help="of one job: these keyword arguments")
    if verb == "cancel":
        parser.add_argument("--terminate", action="store_true", help="end the processes of those that run")
    add_by(parser)
    add_filters(parser, "open" if verb == "cancel" else "dead")
