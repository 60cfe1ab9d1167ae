"""Claimed jobs without a ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from celeriac.ledger.rows import ClaimedJob
from tests.ledger_helpers import a_job

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def a_claimed(*, losses: int = 0, claim_no: int = 1, suspect: bool = False, since: float = 0.0, **fields: Any):
    """A job as a claim hands it over; `since` orders jobs of one priority."""
    run_at = EPOCH + timedelta(seconds=since)
    return ClaimedJob(*a_job(**fields)[:8], losses, claim_no, run_at, None, suspect)
