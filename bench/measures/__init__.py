"""One measure a file: `run(stand)` returns its figures by name, `FIGURES` says how each is shown."""

from __future__ import annotations

import time
from collections.abc import Callable


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def repeated(seconds: float, call: Callable[[], object]) -> list[float]:
    """Return the seconds of each call, for so long."""
    taken: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return taken
