"""Latency under half load: a steady stream of no-ops at half the rate of the drain, and stamped jobs among it.

The rate is that of the drain of the same stand, so that each system is as busy as the others; without one, half of the
adapter's `pace`. One producer makes the calls: where it cannot make as many, *offered* says how many it made.
"""

from __future__ import annotations

from typing import Any

from stream import stream

from measures import quantile

FIGURES = {"half": "/s", "offered": "/s", "p50": "ms", "p95": "ms", "p99": "ms", "unanswered": "", "behind": ""}


def run(stand: Any) -> dict[str, float]:
    half = (stand.figures.get("drain", {}).get("rate") or stand.system.pace) / 2
    stand.warm_worker()
    try:
        streamed = stream(stand, half, stand.plan["load_seconds"])
    finally:
        stand.stop_worker()
    if not streamed.taken:
        raise TimeoutError(f"none of {streamed.unanswered} stamped jobs ran in time")
    return {
        "half": round(half),
        "offered": round(streamed.offered),
        **{f"p{share}": round(quantile(streamed.taken, share / 100), 2) for share in (50, 95, 99)},
        "unanswered": streamed.unanswered,
        "behind": streamed.behind,
    }
