"""Ends of jobs that no claim holds, for SQLite, MySQL and MariaDB: settle, expire, cancel."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Q, QuerySet

from celeriac.ledger.database import alias_of, clock, locked, writing
from celeriac.ledger.models import Attempt, Job
from celeriac.ledger.portable import LET_GO, RESTING, count_down, in_lanes
from celeriac.ledger.rows import Settlement
from celeriac.ledger.states import State

__all__ = ["anything_expired", "cancel", "expiring", "settle", "story_of"]


def anything_expired(*, using: str | None = None) -> bool:
    return _expired(using).exists()


def _expired(using: str | None) -> QuerySet[Job]:
    rests = Job.objects.using(alias_of(using)).filter(state__in=RESTING)
    return rests.filter(Q(expires_at__lte=clock(using)) | Q(cancel__gt=""))


def expiring(limit: int, *, using: str | None = None) -> list[tuple[UUID, str, str]]:
    rows = locked(_expired(using).order_by("expires_at"), using)
    return list(rows.values_list("id", "task", "cancel")[:limit])


def cancel(ids: Sequence[UUID], how: str, *, using: str | None = None) -> list[tuple[UUID, str]]:
    with writing(using) as alias:
        jobs = Job.objects.using(alias)
        found = list(jobs.filter(id__in=ids).order_by("id").select_for_update().values_list("id", "state"))
        running = jobs.filter(id__in=[id_ for id_, state in found if state == State.RUNNING])
        # A signal that was named stays named.
        (running.filter(cancel="") if how == "ask" else running).update(cancel=how)
    return found


def settle(settlements: Sequence[Settlement], *, using: str | None = None) -> tuple[list[UUID], list[str], bool]:
    settled: list[UUID] = []
    with writing(using) as alias:
        now = clock(using)
        jobs = Job.objects.using(alias)
        for end in settlements:
            kept = {f: getattr(end, f) for f in _END}
            if jobs.filter(id=end.id, state__in=RESTING).update(**kept, **LET_GO, waits_for=0, finished_at=now):
                settled.append(end.id)
            elif end.task:
                made = {f: getattr(end, f) for f in ("task", "queue", "args", "kwargs", "headers")}
                made |= {**kept, "run_at": now, "created_at": now, "finished_at": now}
                if jobs.get_or_create(id=end.id, defaults=made)[1]:
                    settled.append(end.id)
        return settled, count_down(settled, alias), in_lanes(settled, alias)


_END = ("state", "reason", "result", "error", "children", "exception", "fingerprint")


def story_of(end: Settlement, alias: str) -> Attempt:
    """Return the `Attempt` that keeps a settlement's traceback."""
    return Attempt(
        job_id=end.id,
        number=1,
        claim_no=0,
        kind="failed",
        exception=end.reason,
        message="",
        traceback=end.traceback,
        finished_at=clock(alias),
    )
