"""Claimed jobs without a ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from celeriac.ledger.rows import ClaimedJob
from tests.ledger_helpers import a_job

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def a_claimed(*, losses: int = 0, claim_no: int = 1, suspect: bool = False, since: float = 0.0, **fields: Any):
    """A job as a claim hands it over; `since` orders jobs of one priority."""
    run_at = EPOCH + timedelta(seconds=since)
    return ClaimedJob(*a_job(**fields)[:8], losses, claim_no, run_at, None, suspect)


def a_worker(pool: Any, **fields: Any) -> SimpleNamespace:
    """What the claimer and its dispatcher look at of Celery's worker; it has no limits."""
    limits = dict.fromkeys(("max_tasks_per_child", "max_memory_per_child", "time_limit", "soft_time_limit"))
    return SimpleNamespace(pool=pool, hostname="me", **limits, **fields)
