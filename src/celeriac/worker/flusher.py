"""The flusher: a thread in each pool process that writes ends while the next bodies run.

It writes continuously: whatever ended while the last commit was in flight goes into the next one, and the ends of quick
bodies gather company for a moment first, so at most the jobs of that moment and about one commit can be run again after
a SIGKILL. It also keeps patience: when one body takes longer than a claim may, the unstarted rest of its claim is given
back to others. When the ledger is away it waits, and so do the ends.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.db import connections

from celeriac.conf import settings
from celeriac.ledger import bell, prepared
from celeriac.ledger.database import can_notify, connection_of
from celeriac.ledger.rows import ClaimedJob, Ending, Failure, Return
from celeriac.ledger.verbs import finish, release, reschedule
from celeriac.loops import insist, is_outage, leave_signals_to_main
from celeriac.outcomes import dotted, fingerprint
from celeriac.worker import board as boards
from celeriac.worker.report import Done, written
from celeriac.worker.story import error_json

__all__ = ["LONGEST", "Flusher", "Unfinished", "flusher"]

logger = logging.getLogger("celeriac")

BATCH = 500

#: For so long the end of a quick body waits for those of its claim-mates, to share their statement and their commit
#: (docs/decisions/0022-ends-gather.md).
GATHER_SECONDS = 0.02

#: A body is quick below this. A commit costs the others little, and to run again for want of one too much.
QUICK_SECONDS = 0.005

#: No claim goes on for longer than this many times CLAIM_SECONDS, but for the body that is running then.
LONGEST = 2


class Unfinished:
    """A claim in progress: what of it has not started, and when the running body did."""

    __slots__ = ("begun", "pending", "released", "slot", "started")

    def __init__(self, pending: deque[ClaimedJob], slot: int) -> None:
        self.pending = pending
        self.slot = slot
        self.begun = self.started = time.monotonic()
        self.released = 0

    def take_rest(self) -> list[ClaimedJob]:
        """Take what has not started. Popping decides who has a job: the runner, or the flusher's impatience."""
        rest: list[ClaimedJob] = []
        try:
            while True:
                rest.append(self.pending.popleft())
        except IndexError:
            self.released += len(rest)
            return rest


class Flusher(threading.Thread):
    """Writes ends of jobs, in order of their end."""

    def __init__(self) -> None:
        super().__init__(name="celeriac-flusher", daemon=True)
        self.pid = os.getpid()
        self._items: deque[Done | list[ClaimedJob] | threading.Event] = deque()
        self._something = threading.Event()  # there is something to do
        self._now = threading.Event()  # and it does not wait for more
        self._claims: set[Unfinished] = set()
        self._patience = settings().CLAIM_SECONDS

    # -- called by the thread that runs the claim

    def begin(self, pending: deque[ClaimedJob], slot: int) -> Unfinished:
        """Keep an eye on a claim that starts."""
        unfinished = Unfinished(pending, slot)
        self._claims.add(unfinished)
        if len(pending) > 1:
            self._something.set()  # ends an idle rest: from now on there is something to be impatient about
        return unfinished

    def end(self, unfinished: Unfinished) -> None:
        """Stop watching a claim."""
        self._claims.discard(unfinished)

    def put(self, done: Done) -> None:
        """Have a run's end written soon."""
        done.ended = time.monotonic()
        self._put(done, at_once=done.ran >= QUICK_SECONDS)

    def release(self, jobs: list[ClaimedJob]) -> None:
        """Have unstarted jobs given back soon."""
        self._put(jobs)

    def wait(self) -> None:
        """Return when everything put so far is in the ledger, however long that takes."""
        written_event = threading.Event()
        self._put(written_event)
        written_event.wait()

    def _put(self, item: Any, *, at_once: bool = True) -> None:
        self._items.append(item)
        # Most find them set: to wake the thread for each end would cost more than a quick body does.
        if at_once and not self._now.is_set():
            self._now.set()
        if not self._something.is_set():
            self._something.set()

    # -- the thread

    def run(self) -> None:
        leave_signals_to_main()
        while True:
            self._something.wait(self._rest())
            self._something.clear()  # before the look: what is put after it sets it again
            if self._items:
                self._now.wait(GATHER_SECONDS)
            self._now.clear()
            items = [self._items.popleft() for _ in range(min(len(self._items), BATCH))]
            if self._items:
                self._something.set()
                self._now.set()
            self._lose_patience(items)
            if items:
                self._write(items)

    def _rest(self) -> float | None:
        return self._patience / 2 if any(claim.pending for claim in tuple(self._claims)) else None

    def _lose_patience(self, items: list[Any]) -> None:
        now = time.monotonic()
        for claim in tuple(self._claims):
            # One slow body, or many that were thought to be quicker.
            late = now - claim.started > self._patience or now - claim.begun > LONGEST * self._patience
            if late and (rest := claim.take_rest()):
                if boards.board is not None:
                    boards.board.mark_shed(claim.slot)
                items.append(rest)

    def _write(self, items: Sequence[Any]) -> None:
        now = time.monotonic()
        endings: list[Ending] = []
        returns: list[Return] = []
        end_stories: list[Failure] = []
        return_stories: list[Failure] = []
        released: list[ClaimedJob] = []
        for item in items:
            if isinstance(item, Done):
                what, story = written(item, now - item.ended)
                if isinstance(what, Ending):
                    endings.append(what)
                    end_stories.extend([story] if story else [])
                elif what is not None:
                    returns.append(what)
                    return_stories.extend([story] if story else [])
            elif isinstance(item, list):
                released.extend(item)
        if endings:
            _insist(lambda: _finish(endings, end_stories))
        if returns:
            _insist(lambda: _reschedule(returns, return_stories))
        if released:
            _insist(lambda: bell.ring_ready(release(released)))
        for item in items:
            if isinstance(item, threading.Event):
                item.set()


def _insist(write: Callable[[], None]) -> None:
    """Write, waiting out any outage: an end that is not written would be a job run twice."""
    try:
        insist("celeriac flusher", partial(_on_pinned, write))
    except Exception:
        connections.close_all()
        logger.exception("celeriac flusher: the ledger refused even to bury a job; it stays claimed")


def _on_pinned(write: Callable[[], None]) -> None:
    if can_notify():
        prepared.pin(connection_of(), "finish")
    write()


def _finish(endings: Sequence[Ending], stories: Sequence[Failure]) -> None:
    try:
        finished = finish(endings, stories)
    except Exception as error:
        if is_outage(error):
            raise
        if len(endings) == 1:
            _bury(endings[0], error)
            return
        for ending in endings:  # one row that the database refuses must not cost the others
            _finish([ending], [story for story in stories if story.id == ending.id])
        return
    if finished.stale:
        logger.warning("%d results came from claims that are no longer ours and were dropped", finished.stale)
    bell.ring_ready(finished.freed)
    if finished.awaited:
        bell.ring_done()


def _bury(ending: Ending, error: Exception) -> None:
    """End a job whose end the database refuses, without what it may have refused."""
    logger.error("The ledger refused the end of job %s: %s", ending.id, error)
    cause = dotted(type(error))
    refused = ending._replace(
        state="dead",
        reason="unwritable",
        result=None,
        error=error_json(error),
        children=None,
        exception=cause,
        fingerprint=fingerprint(cause, str(error), "", "unwritable"),
    )
    finish([refused], [])


def _reschedule(returns: Sequence[Return], stories: Sequence[Failure]) -> None:
    try:
        moved = reschedule(returns, stories)
    except Exception as error:
        if is_outage(error):
            raise
        if len(returns) == 1:
            _bury(Ending(returns[0].id, returns[0].claim_no, "dead", charge=1), error)
            return
        for back in returns:
            _reschedule([back], [story for story in stories if story.id == back.id])
        return
    ready = {queue for queue, state, _ in moved if state == "ready"}
    later = any(state == "scheduled" for _, state, _ in moved)
    bell.ring_ready([*ready, bell.SCHEDULED] if later else ready)


_flusher: Flusher | None = None
_starting = threading.Lock()


def flusher() -> Flusher:
    """Return this process's flusher, started."""
    global _flusher
    with _starting:
        if _flusher is None or _flusher.pid != os.getpid() or not _flusher.is_alive():
            _flusher = Flusher()
            _flusher.start()
        return _flusher


def _after_fork() -> None:
    global _flusher, _starting
    _flusher, _starting = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
