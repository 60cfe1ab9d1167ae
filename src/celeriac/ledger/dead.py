"""What an operator sees of the dead: how many, which, and of what, soon enough at a million of them.

Counts stop at a cap, since the exact number of a million rows takes longer than anybody wants to look at a page.
Pages go by a place in the order and not by a number of rows to skip: the last is as fast as the first.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.db.models import Count, F, Max, Min, Q, QuerySet

from celeriac.ledger.database import alias_of, connection_of, execute, is_postgresql, statement
from celeriac.ledger.models import Attempt, Job
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import State

__all__ = ["CAP", "Group", "Page", "Place", "count", "groups", "page"]

#: Counts go no further: beyond, it is "10,000+".
CAP = 10_000

#: Each group is counted so far first, and up to the cap if that took less than so many seconds. Counting in the index
#: takes 2 ms for 10,000 jobs where the table was vacuumed since they died, and 40 ms where it was not.
QUICK, SOON = 500, 0.01

#: Of more fingerprints than these not each one's last death is looked for: it would take longer than to group the
#: newest jobs.
MOST_GROUPS = 5000


@dataclass(frozen=True, slots=True)
class Group:
    """Dead jobs of one fingerprint. What is said of their kind is said of the one that died last."""

    fingerprint: str
    count: int  # no more than the cap
    capped: bool  # there may be more
    first: datetime
    last: datetime
    job: UUID
    task: str
    exception: str
    reason: str
    message: str


class Place(NamedTuple):
    """A place in the order of a page: the row that has this moment and this id."""

    moment: datetime
    id: UUID


class Page(NamedTuple):
    """Jobs, newest first, and the places before and after them, None where there is nothing more."""

    jobs: list[Job]
    before: Place | None
    after: Place | None


def count(selection: Selection, cap: int = CAP, *, using: str | None = None) -> int:
    """Return how many jobs there are, or *cap* where there are at least so many."""
    return selection.rows(using)[:cap].count()


def page(
    selection: Selection,
    *,
    after: Place | None = None,
    before: Place | None = None,
    size: int = 50,
    using: str | None = None,
) -> Page:
    """Return up to *size* jobs, newest first: the first ones, or those after or before a place."""
    rows, moment = selection.rows(using), selection.moment
    if before is not None:
        found = list(_from(rows, moment, before, newer=True)[: size + 1])
        more, jobs = len(found) > size, found[:size][::-1]
        return Page(jobs, _place(jobs[:1], moment) if more else None, _place(jobs[-1:], moment) or before)
    found = list(_from(rows, moment, after, newer=False)[: size + 1])
    more, jobs = len(found) > size, found[:size]
    return Page(jobs, after and (_place(jobs[:1], moment) or after), _place(jobs[-1:], moment) if more else None)


def _from(rows: QuerySet[Job], moment: str, place: Place | None, *, newer: bool) -> QuerySet[Job]:
    order = [moment, "id"] if newer else [f"-{moment}", "-id"]
    if place is not None:
        than = "gt" if newer else "lt"
        # The first half is there for the index: of "a or b" it could make nothing.
        rows = rows.filter(**{f"{moment}__{than}e": place.moment}).filter(
            Q(**{f"{moment}__{than}": place.moment}) | Q(**{f"id__{than}": place.id})
        )
    return rows.order_by(*order)


def _place(jobs: list[Job], moment: str) -> Place | None:
    return Place(getattr(jobs[0], moment), jobs[0].id) if jobs else None


def groups(
    selection: Selection | None = None,
    limit: int = 50,
    cap: int | None = None,
    most: int = MOST_GROUPS,
    *,
    using: str | None = None,
) -> list[Group]:
    """Return the groups of the dead, those with the latest death first.

    Each is counted up to *cap*; None counts up to 10,000 as long as that is soon done, else less. Of a selection with
    filters, and where there are more than *most* groups, only the newest *cap* jobs are grouped.
    """
    dead = (selection or Selection()).within([State.DEAD])
    if dead != Selection(states=(State.DEAD,)):
        return list(_told(_of_newest(dead, limit, cap or CAP, using), using))
    if not is_postgresql(using):
        return list(_told(_of_all(dead, limit, cap or CAP, using), using))
    started = time.monotonic()
    found = _counted(limit, cap or QUICK, most, using)
    if found and found[0][-1] >= most:
        return list(_told(_of_newest(dead, limit, cap or CAP, using), using))
    if cap is None and time.monotonic() - started < SOON and any(row[2] for row in found):
        found = _counted(limit, CAP, most, using)
    return list(_told([row[:-1] for row in found], using))


def _counted(limit: int, cap: int, most: int, using: str | None) -> list[tuple[Any, ...]]:
    rows = execute("groups", {"limit": limit, "cap": cap, "most": most}, using)
    return [(fingerprint, count, count >= cap, *rest) for fingerprint, count, *rest in rows]


_Row = tuple[str, int, bool, datetime, datetime, UUID]


def _of_newest(selection: Selection, limit: int, cap: int, using: str | None) -> Iterable[_Row]:
    dead = selection.rows(using).filter(state=State.DEAD).order_by("-finished_at", "-id")
    newest = dead.values_list("fingerprint", "finished_at", "id")[:cap]
    deaths: list[tuple[str, int, datetime, datetime, UUID]]
    if is_postgresql(using):
        sql, params = newest.query.get_compiler(alias_of(using)).as_sql()
        with connection_of(using).cursor() as cursor:
            cursor.execute(statement("groups_of_newest").format(newest=sql), params)
            deaths = cursor.fetchall()
    else:
        deaths = _grouped([cast("tuple[str, datetime, UUID]", row) for row in newest])
    capped = sum(count for _, count, *_ in deaths) >= cap
    return [(fingerprint, count, capped, first, last, id_) for fingerprint, count, first, last, id_ in deaths[:limit]]


def _grouped(newest: Iterable[tuple[str, datetime, UUID]]) -> list[tuple[str, int, datetime, datetime, UUID]]:
    counted: dict[str, list[tuple[datetime, UUID]]] = {}
    for fingerprint, ended, id_ in newest:
        counted.setdefault(fingerprint, []).append((ended, id_))
    return [(fingerprint, len(all_), all_[-1][0], *all_[0]) for fingerprint, all_ in counted.items()]


def _of_all(selection: Selection, limit: int, cap: int, using: str | None) -> Iterable[_Row]:
    dead = selection.rows(using)
    every = dead.values("fingerprint").annotate(n=Count("id"), first=Min("finished_at"), last=Max("finished_at"))
    for row in every.order_by("-last")[:limit]:
        last = dead.filter(fingerprint=row["fingerprint"], finished_at=row["last"]).order_by("-id")
        id_ = cast("UUID", last.values_list("id", flat=True).first())
        yield row["fingerprint"], min(row["n"], cap), row["n"] >= cap, row["first"], row["last"], id_


def _told(rows: Iterable[Any], using: str | None) -> Iterator[Group]:
    rows = list(rows)
    ids = [row[-1] for row in rows]
    jobs = Job.objects.using(alias_of(using)).only("task", "exception", "reason").in_bulk(ids)
    attempts = Attempt.objects.using(alias_of(using)).filter(job_id__in=ids, replay=F("job__replays"))
    messages = dict(attempts.order_by("job_id", "id").values_list("job_id", "message"))  # the last wins
    for fingerprint, n, capped, first, last, id_ in rows:
        if (job := jobs.get(id_)) is not None:  # else it was replayed since
            told = (job.task, job.exception, job.reason, messages.get(id_, ""))
            yield Group(fingerprint, n, capped, first, last, id_, *told)
