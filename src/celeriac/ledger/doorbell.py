"""The bell's short cut: a datagram to the workers of the same ledger on the same host.

It saves what a NOTIFY costs on the way (a thread, two database processes, their wake-ups: half a millisecond where idle
latency is three), and it gives databases that cannot notify a bell at all: SQLite's workers wake at once instead of at
the next poll. Workers take one of a few abstract Unix socket addresses (Linux, see unix(7)) named after the ledger;
whoever rings tries them all now and then, which costs two microseconds each, and in between those where somebody was
home. Nothing relies on it: workers elsewhere, in another container, beyond the last address or just started hear the
NOTIFY or poll.
"""

import hashlib
import socket
import sys
import time
from collections.abc import Iterable
from functools import cache

from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.ledger.database import can_notify, connection_of

__all__ = ["KNOCK", "RESTED_SECONDS", "Ear", "close", "knock", "ring"]

#: Addresses a ledger has on a host.
DOORS = 8

#: How long the doors where nobody was home are passed by.
PASS_SECONDS = 1.0

#: Before a queue's name: a call is writing a job of that queue, and will ring.
KNOCK = "\x01knock "

#: Whoever did nothing for so long takes twice the time for what comes next: the processor sleeps, its caches are
#: another's.
RESTED_SECONDS = 0.01


@cache
def _doors(vendor: str, host: str, port: str, name: str) -> tuple[str, ...]:
    ledger = hashlib.sha256(f"{vendor}|{host}|{port}|{name}".encode()).hexdigest()[:24]
    return tuple(f"\0celeriac-{ledger}-{number}" for number in range(DOORS))


def doors(connection: BaseDatabaseWrapper) -> tuple[str, ...]:
    """Return the addresses of this ledger's workers on this host; none where the platform has no such sockets."""
    if sys.platform != "linux":
        return ()
    settings = connection.settings_dict
    return _doors(connection.vendor, str(settings["HOST"]), str(settings["PORT"]), str(settings["NAME"]))


#: This process's end, once somebody has rung.
_end: dict[str, socket.socket] = {}


def _ringer() -> socket.socket:
    ringer = _end.get("ringer")
    if ringer is None:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.setblocking(False)
        ringer = _end.setdefault("ringer", made)
        if ringer is not made:  # another thread was first
            made.close()
    return ringer


#: Of all doors of a ledger: where somebody was home, and when all of them were tried.
_homes: dict[tuple[str, ...], tuple[tuple[str, ...], float]] = {}


def ring(payload: str, connection: BaseDatabaseWrapper) -> bool:
    """Ring at the doors of the ledger that *connection* leads to; return whether somebody is home.

    One who has not yet looked at earlier rings counts.
    """
    every = doors(connection)
    known, tried = _homes.get(every, ((), -PASS_SECONDS))
    now = time.monotonic()
    if now - tried >= PASS_SECONDS:
        known, tried = every, now
    homes = _ring_at(known, payload.encode()) if known else ()
    _homes[every] = (homes, tried)
    return bool(homes)


def _ring_at(some: tuple[str, ...], message: bytes) -> tuple[str, ...]:
    ringer, homes = _ringer(), []
    for door in some:
        try:
            ringer.sendto(message, door)
        except BlockingIOError:
            homes.append(door)
        except OSError:
            continue
        else:
            homes.append(door)
    return tuple(homes)


#: When this process last wrote jobs.
_wrote = -RESTED_SECONDS


def knock(queues: Iterable[str], connection: BaseDatabaseWrapper) -> None:
    """Say at the doors that jobs of *queues* are about to be written: their workers wake up while that happens.

    Only if this process has rested, for one that writes all the time keeps them awake; and not on a database where the
    claim that a worker warms up with would be in the write's way.
    """
    global _wrote
    last, _wrote = _wrote, time.monotonic()
    if _wrote - last >= RESTED_SECONDS and can_notify(connection.alias):
        for queue in set(queues):
            ring(KNOCK + queue, connection)


def close() -> None:
    """Close this process's end; the next ring opens another."""
    _homes.clear()
    if (ringer := _end.pop("ringer", None)) is not None:
        ringer.close()


class Ear:
    """A worker's end: bound to a free door, or deaf when all are taken."""

    def __init__(self, using: str | None = None) -> None:
        self.socket: socket.socket | None = None
        for door in doors(connection_of(using)):
            candidate = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            candidate.setblocking(False)
            try:
                candidate.bind(door)
            except OSError:
                candidate.close()
            else:
                self.socket = candidate
                return

    def heard(self) -> list[str]:
        """Return what was rung since the last look."""
        payloads = []
        while self.socket is not None:
            try:
                payloads.append(self.socket.recv(1024).decode("utf-8", "replace"))
            except BlockingIOError:
                break
        return payloads

    def close(self) -> None:
        """Give the door back."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None
