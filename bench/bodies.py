"""What the jobs of all systems do: the same functions, called by each system's worker.

Jobs are counted by a file in memory (/dev/shm) that each body appends its number and the time to: one write of 16
bytes, about 1 µs, which the kernel makes atomic. A counter in shared memory would be cheaper, but a worker that forks
for each job (RQ) or has threads (Dramatiq) would pay for its place in it; and the file says which jobs ran twice.
"""

from __future__ import annotations

import os
import socket
import struct
import time

RECORD = struct.Struct("<qq")  # the job's number, CLOCK_MONOTONIC in ns

_log: int | None = None
_bell: socket.socket | None = None


def noop(number: int) -> None:
    global _log
    if _log is None:
        _log = os.open(os.environ["BENCH_LOG"], os.O_WRONLY | os.O_APPEND)
    os.write(_log, RECORD.pack(number, time.monotonic_ns()))


def stamp(number: int) -> None:
    global _bell
    now = time.monotonic_ns()
    if _bell is None:
        _bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    _bell.sendto(RECORD.pack(number, now), os.environ["BENCH_SOCKET"])


def order(number: int) -> None:
    """One get and one update in a transaction, on PostgreSQL by Django's ORM."""
    from systems import django_setup

    django_setup()
    from django.db import transaction
    from shop.models import Item

    alias = os.environ["BENCH_SHOP"]
    with transaction.atomic(using=alias):
        item = Item.objects.using(alias).get(pk=number % ITEMS + 1)
        Item.objects.using(alias).filter(pk=item.pk).update(stock=item.stock - 1)
    noop(number)


ITEMS = 1_000
BODIES = {"noop": noop, "stamp": stamp, "order": order}
