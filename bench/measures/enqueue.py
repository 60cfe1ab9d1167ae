"""What the caller pays: one call, one call inside a transaction, and many in bulk. No worker runs.

Calls come one after the other, for every system alike. Where a call is an INSERT, twenty calls and twenty bare INSERTs
then take turns: a disk's flushes take 0.2 ms in one second and 4 ms in the next, and only neighbours in time can be
compared.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg

from measures import quantile
from measures.limits import TABLE

FIGURES = {
    "one p50": "µs",
    "one p99": "µs",
    "one rate": "/s",
    "in turns p50": "µs",
    "bare p50 beside it": "µs",
    "in transaction p50": "µs",
    "bulk rate": "/s",
}

TOGETHER = 20  # calls in turn, and in a transaction


def run(stand: Any) -> dict[str, float]:
    stand.stop_worker()
    system, seconds = stand.system, stand.plan["enqueue_seconds"]
    taken: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        taken += calls(system)
    figures = {
        "one p50": round(quantile(taken, 0.50)),
        "one p99": round(quantile(taken, 0.99)),
        "one rate": round(len(taken) / sum(taken) * 1e6),
    }
    if system.inserts:
        ours, bare = in_turns(system, 2 * seconds)
        figures["in turns p50"] = round(quantile(ours, 0.50))
        figures["bare p50 beside it"] = round(quantile(bare, 0.50))
    if system.atomic() is not None:
        inside: list[float] = []
        end = time.monotonic() + seconds / 2
        while time.monotonic() < end:
            with system.atomic():
                inside += calls(system)
        figures["in transaction p50"] = round(quantile(inside, 0.50))
    if system.has_bulk:
        count = 1_000
        rates = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            started = time.perf_counter()
            system.enqueue_many("noop", range(count))
            rates.append(count / (time.perf_counter() - started))
        figures["bulk rate"] = round(quantile(rates, 0.50))
    return figures


def in_turns(system: Any, seconds: float) -> tuple[list[float], list[float]]:
    """Return the µs of each call, and of each bare INSERT of its row."""
    ours: list[float] = []
    bare: list[float] = []
    with psycopg.connect(os.environ["BENCH_POSTGRES"], autocommit=True) as connection:
        connection.execute(TABLE)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ours += calls(system)
            rows = [system.row(an_id()) for _ in range(TOGETHER)]
            bare += repeated(lambda number, rows=rows: connection.execute(*rows[number]))
    return ours, bare


def calls(system: Any) -> list[float]:
    return repeated(lambda number: system.enqueue_one("noop", number))


def repeated(call: Callable[[int], object]) -> list[float]:
    """Return the µs of each of a few calls."""
    taken = []
    for number in range(TOGETHER):
        started = time.perf_counter()
        call(number)
        taken.append((time.perf_counter() - started) * 1e6)
    return taken


def an_id() -> UUID:
    """Return a new UUID of version 7, as Celeriac's are.

    One of another kind would sort beyond all of those, where an index grows cheaper than in its midst.
    """
    ticks = time.time_ns() * 4096 // 1_000_000
    return UUID(int=ticks >> 12 << 80 | (0x7000 | ticks & 0xFFF) << 64 | 0x2 << 62 | random.getrandbits(62))
