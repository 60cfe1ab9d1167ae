"""insert_keyed: nothing → ready, scheduled or waiting, for one job a key; or new content for the job that holds it."""

import json
from collections.abc import Sequence
from typing import Literal, NamedTuple
from uuid import UUID

from django.db.models import Case, F, Q, Value, When
from django.db.utils import OperationalError

from celeriac import events, faults
from celeriac.errors import JobExists
from celeriac.ledger import portable_keys
from celeriac.ledger.database import alias_of, connection_of, explained, is_postgresql, statement
from celeriac.ledger.models import Job
from celeriac.ledger.portable import RESTING
from celeriac.ledger.rows import NewJob
from celeriac.ledger.verbs.insert import write_jobs

__all__ = ["Conflict", "Keyed", "insert_keyed"]

Conflict = Literal["existing", "raise", "replace", "move"]

#: A holder may end between a look that finds it and the next. That this happens so often in a row is no chance.
TRIES = 20


class Keyed(NamedTuple):
    """The job that now stands for a call.

    Attributes:
        id: of its row.
        task_id: Celery's id of it.
        outcome: "made", "existing" (it was there, and is as it was) or "changed" (it was, and has the new content).
    """

    id: UUID
    task_id: str
    outcome: Literal["made", "existing", "changed"]


def insert_keyed(
    job: NewJob, *, conflict: Conflict = "existing", slots: Sequence[str] = (), using: str | None = None
) -> Keyed:
    """Insert *job* unless another holds its key (`held`), joining the caller's transaction as `insert` does.

    How long it holds the key is its `hold`: "open" until it has ended, "pending" until a claim takes it, "until" for
    `hold_for` seconds from now, or for ever where that is None. A call that meets another one's uncommitted insert of
    the key waits for that commit or rollback.

    *conflict* says what a holder means: "existing" takes it as the answer, "raise" raises, and "replace" (or "move",
    its name where times are moved) gives the content of *job* to a holder that no claim has had yet; one that has
    begun, or ended, is the answer as it is. *slots* are digests to try in order in place of `held`, so that at most so
    many jobs hold a key; if none is free, the most recent holder is the one that is met.

    Raises:
        JobExists: with conflict "raise", if another job holds the key. An id that is there already is asked once.
        NotMigrated: when the ledger's tables do not exist.
        django.db.DatabaseError: when the database refuses or is away.
    """
    tried = list(slots) or [job.held or ""]
    with explained(using):
        keyed = _answer(job, conflict, tried, using)
    faults.point("insert_keyed.after_statement")
    events.emit("insert_keyed", job=job, keyed=keyed)
    return keyed


def _answer(job: NewJob, conflict: Conflict, slots: list[str], using: str | None) -> Keyed:
    for _ in range(TRIES + len(slots)):
        made, free = _take(job, slots, using)
        if made:
            return Keyed(job.id, _task_id(job.id, job.headers), "made")
        faults.point("insert_keyed.before_look")
        holder = _find(job.id, slots, using)
        if holder is None:
            continue  # it let go in between
        if holder.id == job.id:
            revived = write_jobs([job], using)  # as any insert: a replaced job's id may come back
            return Keyed(job.id, holder.task_id, "made" if revived else "existing")
        if free and len(slots) > 1:
            continue  # another call took that one; the next may be free
        if conflict in {"replace", "move"} and holder.fresh:
            faults.point("insert_keyed.before_change")
            if _change(holder, job, slots, using):
                return Keyed(holder.id, holder.task_id, "changed")
            continue  # it was claimed in between, or has ended
        if conflict == "raise":
            raise JobExists(job.task, job.key, holder.task_id)
        return Keyed(holder.id, holder.task_id, "existing")
    raise OperationalError(f"The holders of key {job.key!r} of {job.task} come and go too fast; nothing was inserted.")


def _take(job: NewJob, slots: list[str], using: str | None) -> tuple[bool, bool]:
    """Insert under the first free slot; return whether that was done, and whether one was free."""
    if not is_postgresql(using):
        return portable_keys.take(job, slots, using=using)
    with connection_of(using).cursor() as cursor:
        cursor.execute(statement("insert_keyed"), {**job._asdict(), "slots": slots})
        made, free = cursor.fetchone()
    return made, free


class _Holder(NamedTuple):
    id: UUID
    headers: str
    fresh: bool

    @property
    def task_id(self) -> str:
        return _task_id(self.id, self.headers)


def _find(id_: UUID, slots: list[str], using: str | None) -> _Holder | None:
    """Return the job with this id, else the holder whose time is over last."""
    latest = F("held_until").desc(nulls_first=True)
    found = (
        Job.objects.using(alias_of(using))
        .filter(Q(id=id_) | Q(held__in=slots))
        .order_by(Case(When(id=id_, then=Value(0)), default=Value(1)), latest, "-id")
        .values_list("id", "headers", "state", "claim_no")
        .first()
    )
    if found is None:
        return None
    held, headers, state, claim_no = found
    return _Holder(held, headers, state in RESTING and not claim_no)


def _change(holder: _Holder, job: NewJob, slots: list[str], using: str | None) -> bool:
    headers = _under_the_id_of(holder, job)
    if not is_postgresql(using):
        return portable_keys.change(holder.id, slots, job, headers, using=using)
    params = {**job._asdict(), "headers": headers, "holder": holder.id, "slots": slots}
    with connection_of(using).cursor() as cursor:
        cursor.execute(statement("change"), params)
        return bool(cursor.rowcount)


def _task_id(id_: UUID, headers: str) -> str:
    """Return Celery's id of a job: only one that is no UUID is in the headers."""
    return str(_named(headers) or id_)


def _named(headers: str) -> str | None:
    if '"id"' not in headers:
        return None
    named: str | None = json.loads(headers).get("id")
    return named


def _under_the_id_of(holder: _Holder, job: NewJob) -> str:
    """Return the headers of *job* for the row of *holder*, whose AsyncResult must find its job."""
    named = _named(holder.headers)
    if named == _named(job.headers):
        return job.headers
    headers = {key: value for key, value in json.loads(job.headers).items() if key != "id"}
    return json.dumps(headers if named is None else {"id": named, **headers}, separators=(",", ":"))
