"""Jobs that hold a key, for SQLite, MySQL and MariaDB: insert_keyed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F

from celeriac.ledger.database import clock, writing
from celeriac.ledger.models import Job
from celeriac.ledger.portable import RESTING, row_of, stored
from celeriac.ledger.rows import NewJob
from celeriac.ledger.states import State

__all__ = ["change", "take"]


def take(job: NewJob, slots: Sequence[str], *, using: str | None = None) -> tuple[bool, bool]:
    with writing(using) as alias:
        now = clock(using)
        jobs = Job.objects.using(alias)
        held = dict(jobs.filter(held__in=slots).values_list("held", "held_until"))
        free = next((slot for slot in slots if slot not in held or _is_over(held[slot], now)), None)
        if free is None or jobs.filter(id=job.id).exists():
            return False, free is not None
        jobs.filter(held=free, held_until__lte=now).update(held=None)
        try:
            with transaction.atomic(using=alias):
                row_of(job._replace(held=free), now).save(using=alias, force_insert=True)
        except IntegrityError:
            # Somebody took the slot or the id since we looked; or the row is refused.
            if not jobs.filter(held=free).exists() and not jobs.filter(id=job.id).exists():
                raise
            return False, True
    return True, True


def _is_over(until: datetime | None, now: datetime) -> bool:
    return until is not None and until <= now


def change(holder: UUID, slots: Sequence[str], job: NewJob, headers: str, *, using: str | None = None) -> bool:
    with writing(using) as alias:
        rests = Job.objects.using(alias).filter(id=holder, held__in=slots, state__in=RESTING, claim_no=0)
        row = rests.select_for_update().first()
        if row is None:
            return False
        now = clock(using)
        run_at = stored(job.run_at) or now + timedelta(seconds=job.delay)
        expires_at = stored(job.expires_at)
        if expires_at is None and job.expires_in is not None:
            expires_at = now + timedelta(seconds=job.expires_in)
        keeps = bool(job.lane) and row.turn == job.lane and run_at <= now
        reason = row.reason
        if reason in {"", "exclusive"}:
            reason = "exclusive" if job.lane and not keeps else ""
        resting = State.SCHEDULED if run_at > now else State.READY
        content: dict[str, Any] = {field: getattr(job, field) for field in _CONTENT}
        rests.update(
            **content,
            headers=headers,
            run_at=run_at,
            expires_at=expires_at,
            turn=F("turn") if keeps else None,
            reason=reason,
            state=State.WAITING if row.waits_for or reason else resting,
        )
    return True


_CONTENT = ("args", "kwargs", "queue", "priority", "lane")
