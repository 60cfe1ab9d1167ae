"""From just before the enqueue call to the first line of the body, on an idle worker.

The calls keep to a grid, whether the last job has been answered or not: waiting for the answer would hide what a slow
one does to the next, and would keep a worker that polls always at the same point of its round.
"""

from __future__ import annotations

import time
from typing import Any

from measures import quantile

FIGURES = {"p50": "ms", "p95": "ms", "p99": "ms", "unanswered": ""}


def run(stand: Any) -> dict[str, float]:
    stand.warm_worker()
    samples, pause = int(stand.plan["latency_samples"]), 0.05
    time.sleep(0.3)
    asked, told = {}, {}
    begin = time.monotonic()
    for number in range(samples):
        while (left := begin + number * pause - time.monotonic()) > 0:
            if answer := stand.hear(left):
                told[answer[0]] = answer[1]
        asked[number] = time.monotonic_ns()
        stand.system.enqueue_one("stamp", number)
    deadline = time.monotonic() + 5
    while len(told) < samples and (left := deadline - time.monotonic()) > 0:
        if answer := stand.hear(left):
            told[answer[0]] = answer[1]
    taken = [(told[number] - asked[number]) / 1e6 for number in asked if number in told]
    return {
        "p50": round(quantile(taken, 0.50), 2),
        "p95": round(quantile(taken, 0.95), 2),
        "p99": round(quantile(taken, 0.99), 2),
        "unanswered": samples - len(taken),
    }
