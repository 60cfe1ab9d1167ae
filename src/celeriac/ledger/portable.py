"""The verbs for SQLite, MySQL and MariaDB, with the ORM; same contract as the PostgreSQL statements.

Each runs in one transaction that takes the write lock first (`writing`). Rows are chosen, then changed under the fence,
so a row that another worker took in between is simply not ours.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Case, CharField, Count, F, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from celeriac.ledger.database import Using, alias_of, clock, locked, writing
from celeriac.ledger.models import Attempt, Edge, Job, Queue
from celeriac.ledger.portable_edges import wait_again
from celeriac.ledger.rows import ClaimedJob, Ending, Failure, NewJob, Return
from celeriac.ledger.states import State

__all__ = [
    "LET_GO",
    "RESTING",
    "claim",
    "claimed",
    "count_down",
    "finish",
    "in_lanes",
    "insert",
    "release",
    "reschedule",
    "row_of",
    "stage",
    "stored",
    "unpark",
]

#: SQLite takes no more than 32,766 values in a statement, and a longer transaction holds its one write lock.
MOST = 5000

RESTING = (State.WAITING, State.SCHEDULED, State.READY)


def stored(when: datetime | None) -> datetime | None:
    """Return *when* as Django stores times under the project's USE_TZ."""
    if when is None or bool(when.tzinfo) == bool(timezone.now().tzinfo):
        return when
    return timezone.make_naive(when) if when.tzinfo else timezone.make_aware(when)


def insert(jobs: Sequence[NewJob], *, using: Using = None) -> int:
    now = clock(using)
    asked = {job.id: job for job in reversed(jobs)}  # the first counts where an id is there twice
    rows = [row_of(job, now) for job in reversed(asked.values())]
    doubted = [job.id for job in jobs if not job.fresh]
    with writing(using) as alias:
        try:
            return _insert(rows, doubted, alias)
        except IntegrityError:
            # Somebody took an id since we looked, or the row is refused: then it is again. INSERT IGNORE would be
            # silent about both.
            return _insert(rows, doubted, alias)


def _insert(rows: Sequence[Job], doubted: Sequence[UUID], alias: str) -> int:
    """Insert *rows*, but those of the *doubted* ids that are there, and return how many that made or revived."""
    held = Job.objects.using(alias)
    there = set(held.filter(id__in=doubted).values_list("id", flat=True)) if doubted else set()
    slots = [row.held for row in rows if row.held is not None]
    taken = set(held.filter(held__in=slots).values_list("held", flat=True)) if slots else set()
    with transaction.atomic(using=alias):
        inserted = len(held.bulk_create([row for row in rows if row.id not in there and row.held not in taken]))
    for row in rows:
        if row.id in there:
            content = {field: getattr(row, field) for field in _CONTENT}
            content |= {"turn": None} if row.reason == "exclusive" else {}
            inserted += held.filter(id=row.id, state=State.WAITING, reason="replaced").update(**content)
            if held.filter(id=row.id, state=State.DEAD, reason="upstream").update(**content):
                inserted += 1
                wait_again([row.id], alias)
    return inserted


_CONTENT = (
    *("task", "queue", "priority", "args", "kwargs", "headers", "attempt", "waits_for", "reason", "state", "lane"),
    *("run_at", "expires_at", "finished_at", "error", "exception", "fingerprint", "announced"),
)


def row_of(job: NewJob, now: datetime) -> Job:
    run_at = stored(job.run_at) or now + timedelta(seconds=job.delay)
    expires_at = stored(job.expires_at)
    if expires_at is None and job.expires_in is not None:
        expires_at = now + timedelta(seconds=job.expires_in)
    resting = State.SCHEDULED if run_at > now else State.READY
    kept = {field: getattr(job, field) for field in job._fields[:10]}
    state = State.WAITING if job.waits_for or job.reason else resting
    until = None if job.hold_for is None else now + timedelta(seconds=job.hold_for)
    keyed = {"key": job.key, "held": job.held, "hold": job.hold, "held_until": until, "lane": job.lane}
    when = {"run_at": run_at, "expires_at": expires_at, "created_at": now}
    blank = {"exception": "", "fingerprint": "", "announced": False}  # for `_CONTENT`; the columns' own defaults
    return Job(**kept, **keyed, **when, **blank, state=state.value)


def claim(worker: UUID, queue: str, limit: int, *, using: str | None = None) -> list[ClaimedJob]:
    limit = min(limit, MOST)
    ready = Job.objects.using(alias_of(using)).filter(state=State.READY, queue=queue)
    # A look without the write lock first: an idle worker on SQLite must not queue up with the writers.
    if not ready.exists() or Queue.objects.using(alias_of(using)).filter(name=queue, paused=True).exists():
        return []
    with writing(using) as alias:
        now = clock(using)
        fresh = ready.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now), cancel="")
        ids = list(locked(fresh, using).order_by("-priority", "run_at", "id").values_list("id", flat=True)[:limit])
        held = Job.objects.using(alias).filter(id__in=ids)
        held.filter(hold="pending").update(held=None)
        held.update(state=State.RUNNING, worker=worker, claim_no=F("claim_no") + 1, started_at=now)
        return claimed(held, now)


#: The columns of a `ClaimedJob`, of which the last is an age.
CLAIMED = (*ClaimedJob._fields[:-1], "failing_since")


def claimed(rows: QuerySet[Job], now: datetime) -> list[ClaimedJob]:
    """Return *rows* as their claim sees them."""
    found = rows.values_list(*CLAIMED)
    return [ClaimedJob._make((*row, None if since is None else (now - since).total_seconds())) for *row, since in found]


def _fenced(alias: str, id_: UUID, claim_no: int) -> QuerySet[Job]:
    return Job.objects.using(alias).filter(id=id_, claim_no=claim_no, state=State.RUNNING)


def release(jobs: Sequence[ClaimedJob], *, using: str | None = None) -> dict[str, int]:
    released: Counter[str] = Counter()
    with writing(using) as alias:
        for job in jobs:
            moved = _fenced(alias, job.id, job.claim_no).update(
                state=State.READY, worker=None, started_at=None, progress=None
            )
            if moved:
                released[job.queue] += 1
    return dict(released)


def finish(
    endings: Sequence[Ending], failures: Sequence[Failure], *, using: str | None = None
) -> tuple[int, list[str], bool]:
    finished: list[UUID] = []
    with writing(using) as alias:
        now = clock(using)
        _keep(failures, alias, now)
        for end in endings:
            ended = now - timedelta(seconds=end.ago)
            moved = _fenced(alias, end.id, end.claim_no).update(
                state=end.state,
                reason=end.reason,
                attempt=F("attempt") + end.charge,
                losses=F("losses") + end.loss,
                result=end.result,
                error=end.error,
                children=end.children,
                progress=None,
                worker=None,
                started_at=ended - timedelta(seconds=end.ran),
                finished_at=ended,
                exception=end.exception,
                fingerprint=end.fingerprint,
                **LET_GO,
            )
            if moved:
                finished.append(end.id)
        return len(finished), count_down(finished, alias), in_lanes(finished, alias)


#: What a job that ends gives up: its turn, and its key unless that is held until a time.
LET_GO: dict[str, Any] = {
    "turn": None,
    "held": Case(When(hold="until", then=F("held")), default=Value(None), output_field=CharField(max_length=32)),
}


def in_lanes(ended: Collection[UUID], alias: str) -> bool:
    """Whether one of the *ended* jobs was of a lane, where others may have been waiting for it."""
    return bool(ended) and Job.objects.using(alias).filter(id__in=ended).exclude(lane="").exists()


def count_down(ended: Collection[UUID], alias: str) -> list[str]:
    """Count down what waits for the *ended* jobs; return the queues of those that became ready."""
    freed: set[str] = set()
    if not ended:
        return []
    children = Edge.objects.using(alias).filter(parent__in=ended).values("child_id").annotate(n=Count("id"))
    for child in children.order_by("child_id"):
        jobs = Job.objects.using(alias)
        waiting = jobs.filter(id=child["child_id"], state=State.WAITING, waits_for__gte=child["n"])
        job = waiting.select_for_update().first()
        if job is not None:
            left = job.waits_for - child["n"]
            ready = left == 0 and not job.reason
            jobs.filter(id=job.id).update(waits_for=left, state=State.READY if ready else State.WAITING)
            freed.update([job.queue] if ready else [])
    return sorted(freed)


def _keep(failures: Iterable[Failure], alias: str, now: datetime) -> None:
    for failure in failures:
        job = _fenced(alias, failure.id, failure.claim_no).first()
        if job is not None:
            ended = now - timedelta(seconds=failure.ago)
            told = {
                "number": job.attempt + 1,
                "replay": job.replays,
                "kind": failure.kind,
                "exception": failure.exception,
                "message": failure.message,
                "traceback": failure.traceback,
                "worker": job.worker,
                "started_at": ended - timedelta(seconds=failure.ran),
                "finished_at": ended,
            }
            Attempt.objects.using(alias).get_or_create(job=job, claim_no=job.claim_no, defaults=told)


def reschedule(
    returns: Sequence[Return], failures: Sequence[Failure], *, using: str | None = None
) -> list[tuple[str, str, int]]:
    moved: Counter[tuple[str, str]] = Counter()
    with writing(using) as alias:
        now = clock(using)
        _keep(failures, alias, now)
        for back in returns:
            run_at = stored(back.run_at) or now + timedelta(seconds=back.delay)
            state = State.WAITING if back.reason else State.SCHEDULED if run_at > now else State.READY
            changed: dict[str, Any] = {
                field: getattr(back, field)
                for field in ("queue", "priority", "args", "kwargs", "headers")
                if getattr(back, field) is not None
            }
            if back.charge:
                changed["failing_since"] = Coalesce(F("failing_since"), now)
            if back.expires_at is not None:
                changed["expires_at"] = stored(back.expires_at)
            fenced = _fenced(alias, back.id, back.claim_no)
            queue = changed.get("queue") or fenced.values_list("queue", flat=True).first()
            if back.reason == "replaced":
                changed["turn"] = None  # what replaced it may be of the same lane
            if fenced.update(
                state=state,
                reason=back.reason,
                attempt=F("attempt") + back.charge,
                losses=F("losses") + back.loss,
                run_at=run_at,
                suspect=back.suspect,
                worker=None,
                started_at=None,
                progress=None,
                **changed,
            ):
                moved[str(queue), state.value] += 1
    return [(queue, state, count) for (queue, state), count in moved.items()]


def stage(limit: int, *, using: str | None = None) -> tuple[int, list[str], float | None]:
    now = clock(using)
    scheduled = Job.objects.using(alias_of(using)).filter(state=State.SCHEDULED)
    count, queues = 0, list[str]()
    if scheduled.filter(run_at__lte=now).exists():
        with writing(using):
            count, all_queues = _make_ready(scheduled.filter(run_at__lte=now).order_by("run_at"), limit, using)
        queues = sorted(set(all_queues))
    first = scheduled.order_by("run_at").values_list("run_at", flat=True).first()
    return count, queues, None if first is None else (first - clock(using)).total_seconds()


def _make_ready(rows: QuerySet[Job], limit: int, using: str | None) -> tuple[int, list[str]]:
    chosen = list(locked(rows, using).values_list("id", "queue")[:limit])
    held = Job.objects.using(alias_of(using)).filter(id__in=[id_ for id_, _ in chosen])
    held.update(state=State.READY, reason="")
    return len(chosen), [queue for _, queue in chosen]


def unpark(tasks: Collection[str], limit: int, *, using: str | None = None) -> dict[str, int]:
    parked = Job.objects.using(alias_of(using)).filter(
        state=State.WAITING, reason="unregistered", waits_for=0, task__in=list(tasks)
    )
    if not parked.exists():
        return {}
    with writing(using):
        parked.exclude(lane="").filter(turn=None).update(reason="exclusive")  # it never got in line
        return dict(Counter(_make_ready(parked, limit, using)[1]))
