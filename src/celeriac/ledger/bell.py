"""The bell: "there is something to see", told without polling and never relied on.

Whoever made jobs ready rings after the commit; a background thread of the process sends the NOTIFY, so the caller never
waits for it, many rings become one, and NOTIFY's global commit lock is never taken inside a user's transaction. The
same thread listens for "something ended" while somebody waits for a result. A ring that is lost costs one poll.

Where the database cannot notify, only the door bell rings (`doorbell`), and who does not hear it polls.
"""

import atexit
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac import faults
from celeriac.ledger import doorbell, prepared
from celeriac.ledger.awaited import Notice
from celeriac.ledger.columns import arrays
from celeriac.ledger.database import Using, alias_of, can_notify, connection_of, execute, poll_seconds
from celeriac.ledger.listener import READY, Listener
from celeriac.loops import Backoff, is_outage, leave_signals_to_main

__all__ = [
    "CANCEL",
    "READY",
    "SCHEDULED",
    "Listener",
    "close",
    "end_mark",
    "ring_done",
    "ring_on_commit",
    "ring_ready",
    "wait_for_end",
]

logger = logging.getLogger("celeriac")

DONE = "celeriac_done"

#: In place of a queue's name: a job was scheduled, so whoever stages may have to look earlier than planned.
SCHEDULED = "\x01scheduled"

#: In place of a queue's name: somebody asked to cancel a job that runs.
CANCEL = "\x01cancel"

UNRUNG = "celeriac bell: could not be rung; whoever waits for it looks by itself"

#: The thread gives its connection back after this many seconds without a ring or a waiter.
IDLE_SECONDS = 5.0


#: So long a NOTIFY may gather company: when a worker on this host has heard the door bell, for it would take the
#: processor from that worker's claim; and when one was sent just now, for a caller in a loop would have as many sent.
GATHER_SECONDS = 0.005


class _Ring(NamedTuple):
    channel: str
    payload: str


class _Ringer(threading.Thread):
    """The process's background thread: sends what was rung, hears what ended."""

    def __init__(self, alias: str) -> None:
        super().__init__(name="celeriac-bell", daemon=True)
        self.alias = alias
        self.pid = os.getpid()
        self.listener = Listener()
        self.pending: deque[tuple[str, str]] = deque()  # channel, payload
        self.waiters = 0
        self.generation = 0  # of "something ended"
        self.ended = threading.Condition()
        self.closing = False
        self.over = False  # as is_alive() would tell, which costs a call of a task three more
        self.at_once = False
        self._notice = Notice()
        self._backoff = Backoff("celeriac bell")
        self._last = time.monotonic()
        self._sent = -GATHER_SECONDS
        self._gathering = False

    def ring(self, channel: str, payload: str, *, at_once: bool = True) -> None:
        self.at_once = self.at_once or at_once
        self.pending.append((channel, payload))
        if not self._gathering:  # else it looks again by itself, and later than we appended
            self.listener.wake()

    def run(self) -> None:
        leave_signals_to_main()
        try:
            self._serve(connections[self.alias])
        finally:
            self.over = True
            self.listener.close()

    def _serve(self, connection: BaseDatabaseWrapper) -> None:
        listening = False
        while self.pending or not self.closing:
            try:
                listening = self._round(connection, listening)
                self._backoff.recovered()
            except Exception as error:
                connection.close()
                listening = False
                if not is_outage(error) and not isinstance(error, OSError):
                    raise
                if not self.closing:
                    self.listener.wait(self._backoff.failed(error))
                if self.closing:  # nobody waits for a database that is away
                    break
        connection.close()

    def _round(self, connection: BaseDatabaseWrapper, listening: bool) -> bool:  # noqa: FBT001
        if self.waiters:
            deaf, listening = not listening, True
            if deaf:
                self.listener.listen(connection, DONE)
            if self._notice.give(connection) or deaf:
                self._tell_waiters()  # what ended before we listened, and others knew that we do
        if self._notice.is_to_look():
            self._tell_waiters()
        if self.pending and (not self.at_once or time.monotonic() - self._sent < GATHER_SECONDS):
            self._gathering = True
            try:
                self._hear(GATHER_SECONDS, connection if listening else None)
            finally:
                self._gathering = False
        if self.pending:
            self._send(connection)
            return listening  # whoever came to wait meanwhile has woken us for nothing
        heard = self._hear(self._notice.rest(IDLE_SECONDS), connection if listening else None)
        if heard or self.pending or self.waiters:
            self._last = time.monotonic()
        elif time.monotonic() - self._last >= IDLE_SECONDS and connection.connection is not None:
            connection.close()
            listening = False
        return listening

    def _hear(self, seconds: float, connection: BaseDatabaseWrapper | None) -> bool:
        heard = bool(self.listener.wait(seconds, connection))
        if heard:
            self._tell_waiters()
        return heard

    def _send(self, connection: BaseDatabaseWrapper) -> None:
        self.at_once = False
        rung = dict.fromkeys(self.pending.popleft() for _ in range(len(self.pending)))
        try:
            if connection.connection is not None:  # the first one of a connection does not wait for that
                prepared.pin(connection, "ring")
            execute("ring", arrays([_Ring(*pair) for pair in rung]), connection)
        except Exception:
            self.pending.extendleft(reversed(rung))  # sent again when the database is back
            raise
        self._sent = time.monotonic()

    def _tell_waiters(self) -> None:
        with self.ended:
            self.generation += 1
            self.ended.notify_all()


_ringer: _Ringer | None = None
_starting = threading.Lock()


def _get_ringer(using: Using) -> _Ringer:
    global _ringer
    ringer = _ringer
    if ringer is None or ringer.over or ringer.pid != os.getpid():
        with _starting:
            if _ringer is None or _ringer.over or _ringer.pid != os.getpid():
                ringer = _Ringer(alias_of(using))
                ringer.start()  # before it is anybody's: one that could not start would be rung for ever
                _ringer = ringer
            ringer = _ringer
    return ringer


def close() -> None:
    """End this process's bell thread and its connection; the next ring starts another. For the end of tests."""
    global _ringer
    doorbell.close()
    ringer = _ringer
    if ringer is not None and ringer.pid == os.getpid() and ringer.is_alive():
        ringer.closing = True  # once it has sent what was rung
        ringer.listener.wake()
        ringer.join(5.0)
        if ringer is _ringer and not ringer.is_alive():
            _ringer = None  # with whatever outage it was waiting for: the next one is told of again


def _after_fork() -> None:
    # The thread did not come along, and whoever held the lock is not here to let go.
    global _ringer, _starting
    _ringer, _starting = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


# A command that enqueues and exits at once is still heard.
atexit.register(close)


def ring_ready(queues: Iterable[str], *, using: Using = None) -> None:
    """Tell workers that *queues* have ready jobs. Call it after the commit; it does not wait for anything."""
    faults.point("bell.before_ring")
    connection = connection_of(using)
    ringer = _get_ringer(connection.alias) if can_notify(connection.alias) else None
    for queue in queues:
        near = doorbell.ring(queue, connection)
        if ringer is not None:
            ringer.ring(READY, queue, at_once=not near)


def ring_on_commit(queues: Iterable[str], *, done: bool = False, using: Using = None) -> None:
    """Ring once the transaction open on the ledger's connection, if any, has committed; *done*: jobs ended in it."""
    connection = connection_of(using)
    if connection.in_atomic_block:
        connection.on_commit(partial(_ring, connection, tuple(queues), done=done))
    else:  # what there is to see is committed, or will be by hand
        _ring(connection, queues, done=done)


def _ring(connection: BaseDatabaseWrapper, queues: Iterable[str], *, done: bool) -> None:
    try:
        ring_ready(queues, using=connection)
        if done:
            ring_done(using=connection)
    except Exception:
        # What was asked for is in the ledger: the caller must not take it for undone.
        logger.exception(UNRUNG)


def ring_done(*, using: Using = None) -> None:
    """Tell whoever waits for results that some job ended."""
    if can_notify(using):
        _get_ringer(using).ring(DONE, "")


def end_mark(*, using: str | None = None) -> int:
    """Return a mark to take before looking at a job, so that what ends after the look is not missed."""
    return _get_ringer(using).generation if can_notify(using) else 0


def wait_for_end(timeout: float | None, mark: int, *, using: str | None = None) -> None:
    """Return when some job may have ended since *mark*: a ring, one poll, or *timeout* seconds, whichever is first."""
    poll = poll_seconds(using)
    limit = poll if timeout is None else min(timeout, poll)
    if not can_notify(using):
        threading.Event().wait(limit)
        return
    ringer = _get_ringer(using)
    with ringer.ended:
        ringer.waiters += 1
        ringer.listener.wake()
        try:
            ringer.ended.wait_for(lambda: ringer.generation != mark, limit)
        finally:
            ringer.waiters -= 1
