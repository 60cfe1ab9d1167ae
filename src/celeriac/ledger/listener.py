"""Hearing: a thread's wait for notifications, the door bell and other threads, all at once."""

import os
import select
import threading
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.ledger.doorbell import Ear

__all__ = ["READY", "Listener"]

READY = "celeriac_ready"  # payload: the queue


class Listener:
    """Waits on a connection's notifications, the door bell, and `wake()` from other threads of the process."""

    def __init__(self, ear: Ear | None = None) -> None:
        self._ear = ear
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._woken = False
        # Between a look at the pipe and a write to it nobody may close it: its number may be another's by then. Signal
        # handlers wake as well, so it is reentrant.
        self._open = threading.RLock()
        self._overheard: list[tuple[str, str]] = []

    def listen(self, connection: BaseDatabaseWrapper, *channels: str) -> None:
        """Start listening on *connection*, which the calling thread owns."""
        connection.ensure_connection()
        # What arrives while a statement runs on the connection is read by psycopg, and told to handlers only.
        connection.connection.add_notify_handler(lambda note: self._overheard.append((note.channel, note.payload)))
        with connection.cursor() as cursor:
            for channel in channels:
                cursor.execute(f"LISTEN {channel}")

    def wake(self) -> None:
        """End a wait from any thread; cheap when somebody already did."""
        if self._woken:
            return
        with self._open:
            if not self._woken:
                self._woken = True
                try:
                    os.write(self._write, b"\0")
                except BlockingIOError:
                    pass  # the pipe is full of wake-ups already

    def wait(self, timeout: float, connection: BaseDatabaseWrapper | None = None) -> list[tuple[str, str]]:
        """Wait up to *timeout* seconds; return the (channel, payload) pairs that rang."""
        pgconn = None if connection is None or connection.connection is None else connection.connection.pgconn
        rung = _rung(pgconn) if pgconn is not None else []
        rung, self._overheard = self._overheard + rung, []
        if rung:
            timeout = 0.0
        sources: list[Any] = [self._read] if pgconn is None else [self._read, pgconn.socket]
        door = self._ear.socket if self._ear is not None else None
        sources.extend([door] if door is not None else [])
        readable, _, _ = select.select(sources, [], [], max(0.0, timeout))
        if self._read in readable:
            # In this order: a wake-up between the two is seen by whoever we return to, one after them writes again.
            os.read(self._read, 4096)
            self._woken = False
        if self._ear is not None and door in readable:
            rung += [(READY, payload) for payload in self._ear.heard()]
        if connection is not None and pgconn is not None and pgconn.socket in readable:
            with connection.wrap_database_errors:  # Django's names for an outage, as everywhere else
                pgconn.consume_input()
            rung += _rung(pgconn)
        return rung

    def close(self) -> None:
        """Close the pipe and the door; a wake-up after that is nothing."""
        if self._ear is not None:
            self._ear.close()
        with self._open:
            self._woken = True
            os.close(self._read)
            os.close(self._write)


def _rung(pgconn: Any) -> list[tuple[str, str]]:
    rung = []
    while (note := pgconn.notifies()) is not None:
        rung.append((note.relname.decode(), note.extra.decode()))
    return rung
