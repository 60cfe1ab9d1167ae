"""One measure a file: `run(stand)` returns its figures by name, `FIGURES` says how each is shown."""

from __future__ import annotations


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
