"""`jobs list`: which jobs there are, newest first, or the dead by what they died of."""

from datetime import datetime
from typing import Any

from celeriac.ledger import dead
from celeriac.ledger.dead import CAP, Group
from celeriac.ledger.models import Job
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import State
from celeriac.management.jobs.choose import selection_of
from celeriac.management.jobs.telling import as_json, cause, messages_of, state_cell, why
from celeriac.management.terminal.moments import span
from celeriac.management.terminal.page import iso, short
from celeriac.management.terminal.screen import Cell, Column, Row, Screen, clean

__all__ = ["capped", "list_jobs"]

#: On a narrower terminal the columns are left out that `show` has as well.
WIDE = 100


def list_jobs(options: dict[str, Any], screen: Screen) -> None:
    """List jobs, or groups of the dead."""
    selection = selection_of(options, screen.now, [State.DEAD])
    if options["groups"]:
        _groups(selection, options, screen)
        return
    page = dead.page(selection, size=options["limit"])
    messages = messages_of(job.id for job in page.jobs)
    if options["json"]:
        screen.json([as_json(job, messages.get(job.id)) for job in page.jobs])
        return
    if not page.jobs:
        screen.note(f"There are no {selection}.")
        return
    _table(selection, page.jobs, messages, screen)
    if page.after is not None:
        screen.note(f"The newest {len(page.jobs):,} of {capped(dead.count(selection))} jobs; --limit shows more.")


def capped(count: int, cap: int = CAP) -> str:
    """Return a count that stopped at *cap* as what it is."""
    return f"{count:,}+" if count >= cap else f"{count:,}"


def _table(selection: Selection, jobs: list[Job], messages: dict[Any, str], screen: Screen) -> None:
    ended = selection.moment == "finished_at"
    wide = not screen.width or screen.width >= WIDE
    several = len({job.state for job in jobs}) > 1 or len(selection.states) != 1
    columns = [
        Column("ID"),
        Column("ENDED" if ended else "ASKED", right=True),
        *([Column("STATE")] if several else []),
        Column("TASK", least=16, tail=True),
        *([Column("QUEUE", least=8), Column("TRIES", right=True)] if wide else []),
        Column("WHY", least=20),
    ]
    rows: list[Row] = []
    for job in jobs:
        when = (job.finished_at if ended else None) or job.created_at
        rows.append(
            [
                short(job.id) if screen.width else str(job.id),
                _since(when, screen),
                *([state_cell(job)] if several else []),
                clean(job.task),
                *([clean(job.queue), f"{job.attempt:,}"] if wide else []),
                why(job, messages.get(job.id), screen.now),
            ]
        )
    screen.table(columns, rows)


def _groups(selection: Selection, options: dict[str, Any], screen: Screen) -> None:
    found = dead.groups(selection, options["limit"])
    if options["json"]:
        screen.json([_group_json(group) for group in found])
        return
    if not found:
        screen.note(f"There are no {selection.within([State.DEAD])}.")
        return
    columns = [
        Column("GROUP"),
        Column("JOBS", right=True),
        Column("LAST", right=True),
        Column("FIRST", right=True),
        Column("TASK", least=16, tail=True),
        Column("WHAT", least=20),
    ]
    length = _length([group.fingerprint for group in found]) if screen.width else 32
    rows: list[Row] = [
        [
            group.fingerprint[:length] or "-",
            Cell(f"{group.count:,}{'+' if group.capped else ''}", "ERROR"),
            _since(group.last, screen),
            _since(group.first, screen),
            clean(group.task),
            cause(group.exception, group.reason, group.message),
        ]
        for group in found
    ]
    screen.table(columns, rows)


def _since(when: datetime, screen: Screen) -> str:
    return span(round((screen.now - when).total_seconds()))


def _length(fingerprints: list[str]) -> int:
    """How much of a fingerprint tells it from the others."""
    return next(n for n in range(8, 33) if len({text[:n] for text in fingerprints}) == len(fingerprints))


def _group_json(group: Group) -> dict[str, Any]:
    return {
        "group": group.fingerprint,
        "count": group.count,
        "capped": group.capped,
        "first": iso(group.first),
        "last": iso(group.last),
        "job": str(group.job),
        "task": group.task,
        "exception": group.exception,
        "reason": group.reason,
        "message": group.message,
    }
