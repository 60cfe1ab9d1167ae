"""prune for SQLite, MySQL and MariaDB."""

from datetime import timedelta
from uuid import UUID

from django.db.models import Q

from celeriac.ledger.database import alias_of, clock, locked, writing
from celeriac.ledger.models import Attempt, Edge, Effect, Job
from celeriac.ledger.states import State

__all__ = ["prune"]


def prune(
    after: UUID, age: timedelta | None, dead_age: timedelta | None, limit: int, look: int, *, using: str | None = None
) -> tuple[int, UUID | None]:
    jobs = Job.objects.using(alias_of(using))
    looked = list(jobs.filter(id__gt=after).order_by("id").values_list("id", flat=True)[:look])
    if not looked:
        return 0, None
    old = _old(age, dead_age, using)
    within = jobs.filter(old, id__gte=looked[0], id__lte=looked[-1]).order_by("id")
    ids = list(within.values_list("id", flat=True)[: limit * 2])
    awaited = Edge.objects.using(alias_of(using)).filter(parent__in=ids, child__state=State.WAITING)
    kept = set(awaited.values_list("parent", flat=True))
    chosen = [id_ for id_ in ids if id_ not in kept][:limit]
    deleted = 0
    if chosen:
        with writing(using) as alias:
            gone = list(locked(jobs.filter(old, id__in=chosen), using).values_list("id", flat=True))
            Attempt.objects.using(alias).filter(job_id__in=gone).delete()
            Effect.objects.using(alias).filter(job_id__in=gone).delete()
            Edge.objects.using(alias).filter(Q(child_id__in=gone) | Q(parent__in=gone)).delete()
            Job.objects.using(alias).filter(id__in=gone).delete()
            deleted = len(gone)
    if len(chosen) == limit or len(ids) == limit * 2:
        return deleted, (chosen or ids)[-1]
    return deleted, looked[-1] if len(looked) == look else None


def _old(age: timedelta | None, dead_age: timedelta | None, using: str | None) -> Q:
    now = clock(using)
    ended = Q(pk__in=[])
    if age is not None:
        ended |= Q(state__in=[State.SUCCEEDED, State.CANCELLED], finished_at__lt=now - age)
    if dead_age is not None:
        ended |= Q(state=State.DEAD, finished_at__lt=now - dead_age)
    return ended & (Q(held__isnull=True) | Q(held_until__lte=now))
