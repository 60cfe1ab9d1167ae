"""What the caller pays: one call, one call inside a transaction, and many in bulk. No worker runs.

Beside each call that is an INSERT goes a bare one: a disk's flushes take 0.2 ms in one second and 4 ms in the next, and
only neighbours in time can be compared.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg

from measures import quantile
from measures.limits import ONE, TABLE

FIGURES = {
    "one p50": "µs",
    "one p99": "µs",
    "one rate": "/s",
    "bare p50 beside it": "µs",
    "in transaction p50": "µs",
    "bulk rate": "/s",
}

TOGETHER = 20  # calls in a transaction


def run(stand: Any) -> dict[str, float]:
    stand.stop_worker()
    system, seconds = stand.system, stand.plan["enqueue_seconds"]
    bare: list[float] = []
    if system.inserts:
        with psycopg.connect(os.environ["BENCH_POSTGRES"], autocommit=True) as connection:
            connection.execute(TABLE)
            taken = calls(system, 2 * seconds, beside=lambda: bare.append(insert(connection)))
    else:
        taken = calls(system, seconds)
    figures = {
        "one p50": round(quantile(taken, 0.50)),
        "one p99": round(quantile(taken, 0.99)),
        "one rate": round(len(taken) / sum(taken) * 1e6),
    }
    if bare:
        figures["bare p50 beside it"] = round(quantile(bare, 0.50))
    if system.atomic() is not None:
        inside: list[float] = []
        end = time.monotonic() + seconds / 2
        while time.monotonic() < end:
            with system.atomic():
                inside += calls(system, seconds, TOGETHER)
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


def calls(
    system: Any, seconds: float, most: int = 1_000_000, beside: Callable[[], object] | None = None
) -> list[float]:
    """Return the µs of each call, for so long."""
    taken = []
    end = time.monotonic() + seconds
    while len(taken) < most and time.monotonic() < end:
        started = time.perf_counter()
        system.enqueue_one("noop", len(taken))
        taken.append((time.perf_counter() - started) * 1e6)
        if beside:
            beside()
    return taken


def insert(connection: psycopg.Connection) -> float:
    """Return the µs of one INSERT in autocommit of a row like Celeriac's."""
    started = time.perf_counter()
    connection.execute(ONE, [uuid4()])
    return (time.perf_counter() - started) * 1e6
