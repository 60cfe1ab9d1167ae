"""The drain of a job that works: one get and one update in a transaction on PostgreSQL, by Django's ORM."""

from __future__ import annotations

from typing import Any

from measures import drain

FIGURES = drain.FIGURES


def run(stand: Any) -> dict[str, float]:
    # Such a job takes about a millisecond: two processes do no more, however fast the system.
    return drain.run(stand, "order", pace=min(stand.system.pace, 1_500))
