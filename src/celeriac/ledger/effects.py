"""The effects that jobs had outside of the database: begun before it, done after it (`Effect`).

No move of a job, so no verb; but fenced as the verbs of a run are, since a claim that is no longer the row's must not
begin an effect that the next run may be at. The unique index on (job, name) decides between two who begin at once.
Each function is one short transaction of its own, or joins the caller's.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from celeriac import faults
from celeriac.errors import ClaimLost
from celeriac.ledger.database import alias_of, clock, writing
from celeriac.ledger.models import Effect, Job
from celeriac.ledger.states import State

__all__ = ["Entry", "Owner", "begin", "begin_again", "done", "undo"]


class Owner(NamedTuple):
    """The run that an effect is of."""

    job: UUID
    claim_no: int


class Entry(NamedTuple):
    """An effect that was begun before: done with this result (JSON), or in doubt."""

    done: bool
    result: str | None
    begun_at: datetime


def begin(owner: Owner, name: str, *, using: str | None = None) -> Entry | None:
    """Write that the effect *name* is about to be had; return the entry that is there already, and write nothing then.

    Raises:
        ClaimLost: when the job is no longer this run's.
    """
    if found := _find(owner.job, name, using):
        return found
    with writing(using) as alias:
        _require(owner, alias)
        now = clock(using)
        try:
            with transaction.atomic(using=alias):
                Effect.objects.using(alias).create(job_id=owner.job, name=name, claim_no=owner.claim_no, begun_at=now)
        except IntegrityError:
            found = _find(owner.job, name, using)  # another run of the job, or another thread of this one
            if found is None:
                raise
            return found
    faults.point("effects.after_begin")
    return None


def begin_again(owner: Owner, name: str, *, using: str | None = None) -> None:
    """Take over the entry in doubt for another go at the effect, by this run.

    Raises:
        ClaimLost: when the job is no longer this run's, or the entry is not in doubt any more.
    """
    with writing(using) as alias:
        _require(owner, alias)
        if not _open(owner.job, name, alias).update(claim_no=owner.claim_no, begun_at=clock(using)):
            raise ClaimLost(*owner)


def done(owner: Owner, name: str, result: str, *, whoever: bool = False, using: str | None = None) -> None:
    """Write that the effect was had, with its *result* (JSON); *whoever* began it, or this run alone. Twice is once.

    Raises:
        ClaimLost: when the job is no longer this run's, or the entry is not: it stays in doubt.
    """
    with writing(using) as alias:
        _require(owner, alias)
        entry = _open(owner.job, name, alias)
        mine = entry if whoever else entry.filter(claim_no=owner.claim_no)
        written = mine.update(done=True, result=result, done_at=clock(using), claim_no=owner.claim_no)
        own = Effect.objects.using(alias).filter(job_id=owner.job, name=name, claim_no=owner.claim_no, done=True)
        if not written and not own.exists():
            raise ClaimLost(*owner)


def undo(owner: Owner, name: str, *, using: str | None = None) -> bool:
    """Remove the entry that this run began, since the effect was not had; False if it is no longer this run's."""
    with writing(using) as alias:
        mine = _open(owner.job, name, alias).filter(claim_no=owner.claim_no)
        return _is_ours(owner, alias) and bool(mine.delete()[0])


def _find(job: UUID, name: str, using: str | None) -> Entry | None:
    found = Effect.objects.using(alias_of(using)).filter(job_id=job, name=name)
    row = found.values_list("done", "result", "begun_at").first()
    return None if row is None else Entry(*row)


def _open(job: UUID, name: str, alias: str) -> QuerySet[Effect]:
    return Effect.objects.using(alias).filter(job_id=job, name=name, done=False)


def _is_ours(owner: Owner, alias: str) -> bool:
    # Without a lock: should the job be taken from this run right after this look, the next run meets the entry.
    held = Job.objects.using(alias).filter(id=owner.job, claim_no=owner.claim_no, state=State.RUNNING)
    return held.exists()


def _require(owner: Owner, alias: str) -> None:
    if not _is_ours(owner, alias):
        raise ClaimLost(*owner)
