"""`jobs tail`: what happens, as it happens.

Failures are found each second by an index. What succeeded or was cancelled has none, so that takes the longer the more
jobs are kept; it is looked for the less often, and never costs the database more than a part of its time.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connections

from celeriac.ledger import dead
from celeriac.ledger.database import clock
from celeriac.ledger.models import Job
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import ENDED, State
from celeriac.loops import is_outage
from celeriac.management.jobs.choose import selection_of
from celeriac.management.jobs.failures import Failures, Happening
from celeriac.management.jobs.telling import STYLES, as_json, messages_of, why
from celeriac.management.terminal.moments import local
from celeriac.management.terminal.page import short
from celeriac.management.terminal.screen import CUT, Screen, clean

__all__ = ["tail"]

#: Seconds between two looks.
POLL = 1.0

#: A look that takes long is repeated after so many times as long.
SHARE = 20.0

#: Our own housekeeping: each death has a job that tells of it, whose success is no news.
OWN = "celeriac."

#: A commit may come so many seconds after the moment that it tells of.
LATE = 3.0


def tail(options: dict[str, Any], screen: Screen, pause: Callable[[float], None] = time.sleep) -> None:
    """Write what happens until Ctrl-C, the last of what has happened first."""
    selection = selection_of(options, screen.now)
    if not ENDED.issuperset(selection.states):
        selection = replace(selection, states=tuple(ENDED.intersection(selection.states)) or tuple(ENDED))
    states = frozenset(State(state) for state in selection.states) or ENDED
    feeds: list[Any] = [_Ends(selection, [state], screen.now) for state in (State.DEAD,) if state in states]
    if quiet := sorted(states - {State.DEAD}):
        feeds.append(_Ends(selection, quiet, screen.now))
    if not options["state"]:
        feeds.append(Failures(selection, LATE))
    writer = _Writer(screen, program=options["json"])
    try:
        last = sorted((each for feed in feeds for each in feed.last(options["last"])), key=lambda each: each.at)
        writer.write(last[-options["last"] :] if options["last"] else [])
        while True:
            writer.write(_looked(feeds, screen))
            pause(POLL)
    except KeyboardInterrupt:
        return


def _looked(feeds: list[Any], screen: Screen) -> list[Happening]:
    try:
        now = clock()
        found = [each for feed in feeds for each in feed.look(now)]
    except Exception as error:
        if not is_outage(error):
            raise
        connections.close_all()
        screen.note(f"The database is away ({str(error).strip()}); still looking.")
        return []
    # A death may be found as the end of the job and as its last attempt.
    return sorted({(each.job.id, each.at, each.what): each for each in found}.values(), key=lambda each: each.at)


class _Ends:
    """The jobs that came to certain ends."""

    def __init__(self, selection: Selection, states: list[State], since: datetime) -> None:
        self.selection = replace(selection, states=tuple(states))
        self.since = since
        self.floor = since
        self.seen: dict[tuple[Any, datetime], datetime] = {}
        self.due = 0.0

    def last(self, size: int) -> list[Happening]:
        """Return the last that came to these ends before."""
        jobs = dead.page(self.selection, size=size).jobs if size else []
        return list(self._told(jobs))

    def look(self, now: datetime) -> list[Happening]:
        """Return those that have come to these ends since the last look."""
        began = time.monotonic()
        if began < self.due:
            return []
        rows = self.selection.rows().filter(finished_at__gte=self.floor)
        found = list(self._told(list(rows.defer("result", "headers").order_by("finished_at", "id"))))
        took = time.monotonic() - began
        self.due = began + took + SHARE * took if SHARE * took > POLL else 0.0
        self.floor = max(self.since, now - timedelta(seconds=LATE))
        self.seen = {key: at for key, at in self.seen.items() if at >= self.floor}
        return found

    def _told(self, jobs: list[Job]) -> Iterator[Happening]:
        new = [job for job in jobs if job.finished_at and (job.id, job.finished_at) not in self.seen]
        messages = messages_of(job.id for job in new if job.state == State.DEAD)
        for job in new:
            assert job.finished_at is not None
            if job.state == State.SUCCEEDED and job.task.startswith(OWN) and not self.selection.task:
                continue
            self.seen[job.id, job.finished_at] = job.finished_at
            yield Happening(job.finished_at, job.state, job, job.exception, messages.get(job.id))


class _Writer(NamedTuple):
    screen: Screen
    program: bool

    def write(self, happened: list[Happening]) -> None:
        for each in happened:
            if self.program:
                told = {"event": each.what, "at": each.at.isoformat(), **as_json(each.job, each.message)}
                self.screen.json({**told, "exception": each.exception}, indent=None)
            else:
                self._line(each)
        self.screen.out.flush()

    def _line(self, each: Happening) -> None:
        head, word = f"{local(each.at)[11:19]}  ", f"{each.what:<9}"
        said = each.said if each.said is not None else why(each.job, each.message, self.screen.now)
        rest = f"  {short(each.job.id)}  {clean(each.job.task)}  {said}".rstrip()
        room = self.screen.width - len(head) - len(word)
        if self.screen.width and len(rest) > room:
            rest = rest[: room - len(CUT)] + CUT
        style = STYLES[State(each.what)] if each.what in ENDED else "WARNING"
        self.screen.line(f"{head}{self.screen.styled(word, style)}{rest}")
