"""insert: nothing → ready, scheduled or waiting. One statement per 1,000 jobs, in the caller's transaction."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import DatabaseError

from celeriac import events, faults
from celeriac.ledger import portable
from celeriac.ledger.columns import alike, arrays, batches
from celeriac.ledger.database import Using, connection_of, explain, insert_cursor, statement, writing
from celeriac.ledger.models import Edge
from celeriac.ledger.rows import NewJob

__all__ = ["insert", "insert_waiting", "write_jobs"]

#: Asking twice is asking once. For an id that nobody can have asked for it is left out: it has the server look at the
#: index first and log each row twice, a quarter of what a row costs it.
UNLESS_THERE = "\nON CONFLICT (id) DO NOTHING"


def insert(jobs: Iterable[NewJob], *, using: Using = None) -> int:
    """Insert *jobs* and return how many rows that made; an id already there is not asked twice.

    Raises:
        NotMigrated: when the ledger's tables do not exist.
        django.db.DatabaseError: when the database refuses or is away; nothing was inserted by that statement.
    """
    inserted = 0
    for batch in batches(jobs):
        try:
            inserted += write_jobs(batch, using)
        except DatabaseError as error:
            explain(error, using)
            raise
        faults.point("insert.after_statement")
        events.emit("insert", jobs=batch)
    return inserted


def write_jobs(batch: list[NewJob], using: Using) -> int:
    """Do what `insert` does, for a verb that tells of it under its own name."""
    connection = connection_of(using)
    if connection.vendor != "postgresql":
        return portable.insert(batch, using=using)
    plain = _plain(batch)
    text, values = plain or (statement("insert"), arrays(batch))
    cursor = insert_cursor(connection) if plain else connection.cursor()
    cursor.execute(text, values)
    if "ON CONFLICT" not in text:
        return len(batch)  # or it would have raised
    inserted = int(cursor.rowcount)
    if inserted < len(batch):
        with connection.cursor() as cursor:
            cursor.execute(statement("revive"), arrays(batch))
            inserted += int(cursor.rowcount)
    return inserted


def _plain(batch: list[NewJob]) -> tuple[str, dict[str, Any]] | None:
    """Return the least statement that can insert *batch*, and what it takes, if that is text, numbers and times."""
    first = batch[0]
    if not first.plain:
        return None
    unless = "" if first.fresh else UNLESS_THERE
    if len(batch) == 1:
        return statement("insert_now" if first.at_once else "insert_one") + unless, first._asdict()
    values = alike(batch)
    return None if values is None else (statement("insert_alike") + unless, values)


def insert_waiting(job: NewJob, parents: Sequence[UUID], *, using: str | None = None) -> bool:
    """Insert *job* so that it becomes ready when every one of *parents* (ids, in order) has ended.

    The parents must not have been inserted yet: what ended before the edge was there is never counted down.
    Returns False, and changes nothing, when the job is already there.
    """
    with writing(using) as alias:
        if not insert([job._replace(waits_for=len(parents))], using=using):
            return False
        Edge.objects.using(alias).bulk_create(
            Edge(parent=parent, child_id=job.id, position=position) for position, parent in enumerate(parents)
        )
    return True
