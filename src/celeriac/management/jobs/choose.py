"""From what was typed to the jobs that are meant."""

import argparse
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from celeriac.ledger.columns import batches
from celeriac.ledger.database import alias_of, connection_of
from celeriac.ledger.ids import job_id
from celeriac.ledger.models import Job, Worker
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import ENDED, OPEN, State
from celeriac.management.terminal.moments import moment

__all__ = ["add_filters", "added_filters", "ids_of", "one_of", "selection_of", "states_of"]

_WORDS = {"open": OPEN, "ended": ENDED, "all": frozenset[State]()}
_PREFIX = re.compile(r"[0-9a-f][0-9a-f-]{0,35}")

#: Of an id that could be several, as many are named.
NAMED = 5


def add_filters(parser: argparse.ArgumentParser, default: str, *, times: bool = True) -> None:
    """Add the filters that all have to match; *times*: also those by time."""
    group = parser.add_argument_group("filters, which all have to match")
    text = f"waiting, scheduled, ready, running, succeeded, dead, cancelled; or open, ended, all. Default: {default}"
    group.add_argument("--state", action="append", default=[], metavar="STATE", help=f"{text}. May be repeated")
    group.add_argument("--task", default="", metavar="NAME", help="the task's whole name")
    group.add_argument("--queue", default="", metavar="NAME")
    group.add_argument("--exception", default="", metavar="NAME", help="dotted name of the class it died of")
    group.add_argument("--group", default="", metavar="ID", help="of `list --groups`: the dead that look alike")
    group.add_argument("--reason", default="", metavar="WORD", help="why it waits or how it ended: lost, expired")
    group.add_argument("--key", default="", help="idempotency key")
    group.add_argument("--worker", default="", metavar="NAME", help="node name or id of the worker that runs it")
    group.add_argument("--search", default="", metavar="TEXT", help="in the task's name, or words of the arguments")
    if not times:
        return
    group.add_argument("--since", metavar="TIME", help="ended (open ones: asked for) since 30m, 2h, 1d, or ISO 8601")
    group.add_argument("--until", metavar="TIME", help="the same, until")


_GIVEN = ("state", "task", "queue", "exception", "group", "reason", "key", "worker", "search", "since", "until")


def added_filters(options: dict[str, Any]) -> list[str]:
    """Return the names of the filters that were typed."""
    return [f"--{name}" for name in _GIVEN if options.get(name)]


def states_of(words: Iterable[str]) -> tuple[str, ...]:
    """Return the states that *words* name, separated by commas or not; "all" is none."""
    states: set[str] = set()
    for word in (part for text in words for part in text.lower().split(",") if part):
        if word == "all":
            return ()
        states |= _WORDS.get(word, {word})
    return tuple(sorted(states))


def selection_of(options: dict[str, Any], now: datetime, default: Sequence[str] = ()) -> Selection:
    """Return the selection that the filters make; *default* are the states where none are named.

    Raises:
        CommandError: when there is no such state, worker, group or time.
    """
    worker = _worker(options["worker"]) if options["worker"] else None
    if not options["state"] and worker is not None:
        default = [State.RUNNING]  # no other job has one
    try:
        return Selection(
            states=states_of(options["state"]) if options["state"] else tuple(default),
            task=options["task"],
            queue=options["queue"],
            exception=options["exception"],
            fingerprint=_group(options["group"].lower()) if options["group"] else "",
            reason=options["reason"],
            key=options["key"],
            worker=worker,
            text=options["search"],
            since=moment(options["since"], now) if options.get("since") else None,
            until=moment(options["until"], now) if options.get("until") else None,
        )
    except ValueError as error:
        raise CommandError(str(error)) from error


def ids_of(texts: Sequence[str]) -> list[UUID]:
    """Return the ids that *texts* mean: each a job's id, the beginning of one, or a task id of the caller's own.

    Raises:
        CommandError: when one means no job, or more than one.
    """
    exact = {job_id(text): text for text in texts}
    rows = Job.objects.using(alias_of())
    known = {id_ for ids in batches(exact) for id_ in rows.filter(id__in=ids).values_list("id", flat=True)}
    found = {text: id_ for id_, text in exact.items() if id_ in known}
    return list(dict.fromkeys(found[text] if text in found else one_of(rows, text, "job") for text in texts))


def one_of(rows: Any, text: str, what: str) -> UUID:
    """Return the one id in *rows* that is *text* or begins with it.

    Raises:
        CommandError: when there is none, or more.
    """
    prefix = text.lower()
    found = list(_beginning(rows, prefix)[: NAMED + 1]) if _PREFIX.fullmatch(prefix) else []
    if len(found) == 1:
        return UUID(str(found[0]))
    if not found:
        raise CommandError(f"No {what} has the id {text!r}, or one that begins so.")
    named = "\n  ".join(map(str, found[:NAMED])) + ("\n  ..." if len(found) > NAMED else "")
    raise CommandError(f"More than one {what} has an id that begins with {text!r}:\n  {named}")


def _beginning(rows: Any, prefix: str) -> Any:
    ids = rows.order_by("id").values_list("id", flat=True)
    if connection_of().vendor == "mysql":  # MariaDB orders ids in a way of its own
        return ids.filter(id__startswith=prefix)
    digits = prefix.replace("-", "")[:32]
    return ids.filter(id__gte=UUID(digits.ljust(32, "0")), id__lte=UUID(digits.ljust(32, "f")))


def _group(prefix: str) -> str:
    """Return the fingerprint that begins so: two looks into the index of the dead."""
    if len(prefix) >= 32:
        return prefix
    dead = Job.objects.using(alias_of()).filter(state=State.DEAD, fingerprint__gte=prefix).order_by("fingerprint")
    first = dead.values_list("fingerprint", flat=True).first()
    if first is None or not first.startswith(prefix):
        raise CommandError(f"No group of the dead begins with {prefix!r}; `list --groups` shows them.")
    second = dead.filter(fingerprint__gt=first).values_list("fingerprint", flat=True).first()
    if second is not None and second.startswith(prefix):
        raise CommandError(f"More than one group of the dead begins with {prefix!r}: {first}, {second}.")
    return first


def _worker(text: str) -> UUID:
    rows = Worker.objects.using(alias_of())
    named = list(rows.filter(hostname=text).values_list("id", flat=True))
    if len(named) == 1:
        return named[0]
    if named:  # two that run, or one that was killed and is not rescued yet
        raise CommandError(f"More than one worker is {text!r}; name one by its id: {', '.join(map(str, named))}.")
    try:
        return UUID(text)  # perhaps without a row any more
    except ValueError:
        return one_of(rows, text, "worker")
