"""What an operator sees of the dead: how many, which, and of what, soon enough at a million of them.

Counts stop at a cap, since the exact number of a million rows takes longer than anybody wants to look at a page.
Pages go by a place in the order and not by a number of rows to skip: the last is as fast as the first.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, cast
from uuid import UUID

from django.db.models import Count, F, Max, Min, Q, QuerySet

from celeriac.ledger.database import alias_of, execute, is_postgresql
from celeriac.ledger.models import Attempt, Job
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import State

__all__ = ["CAP", "Group", "Page", "Place", "count", "groups", "page"]

#: Counts go no further: beyond, it is "10,000+".
CAP = 10_000

#: Among more fingerprints than these the latest are not looked for.
MOST_GROUPS = 1000


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
    selection: Selection | None = None, limit: int = 50, cap: int = CAP, *, using: str | None = None
) -> list[Group]:
    """Return the groups of the dead, those with the latest death first.

    Of a selection with filters only the newest *cap* jobs are grouped.
    """
    dead = (selection or Selection()).within([State.DEAD])
    if is_postgresql(using) and dead == Selection(states=(State.DEAD,)):
        found = execute("groups", {"limit": limit, "cap": cap, "most": MOST_GROUPS}, using)
        return list(_told([(*row[:2], row[1] >= cap, *row[2:]) for row in found], using))
    return list(_told(_grouped(dead, limit, cap, using), using))


_Row = tuple[str, int, bool, datetime, datetime, UUID]


def _grouped(selection: Selection, limit: int, cap: int, using: str | None) -> Iterable[_Row]:
    dead = selection.rows(using).filter(state=State.DEAD)
    if selection.filters.keys() - {"states"} or selection.ids:
        rows = dead.order_by("-finished_at", "-id").values_list("fingerprint", "finished_at", "id")[:cap]
        newest = [cast("tuple[str, datetime, UUID]", row) for row in rows]
        counted: dict[str, list[tuple[datetime, UUID]]] = {}
        for fingerprint, ended, id_ in newest:
            counted.setdefault(fingerprint, []).append((ended, id_))
        for fingerprint, deaths in list(counted.items())[:limit]:
            yield fingerprint, len(deaths), len(newest) >= cap, deaths[-1][0], *deaths[0]
        return
    every = dead.values("fingerprint").annotate(n=Count("id"), first=Min("finished_at"), last=Max("finished_at"))
    for row in every.order_by("-last")[:limit]:
        last = dead.filter(fingerprint=row["fingerprint"], finished_at=row["last"]).order_by("-id")
        id_ = cast("UUID", last.values_list("id", flat=True).first())
        yield row["fingerprint"], min(row["n"], cap), row["n"] >= cap, row["first"], row["last"], id_


def _told(rows: Iterable[_Row], using: str | None) -> Iterator[Group]:
    rows = list(rows)
    ids = [row[-1] for row in rows]
    jobs = Job.objects.using(alias_of(using)).only("task", "exception", "reason").in_bulk(ids)
    attempts = Attempt.objects.using(alias_of(using)).filter(job_id__in=ids, replay=F("job__replays"))
    messages = dict(attempts.order_by("job_id", "id").values_list("job_id", "message"))  # the last wins
    for fingerprint, n, capped, first, last, id_ in rows:
        if (job := jobs.get(id_)) is not None:  # else it was replayed since
            told = (job.task, job.exception, job.reason, messages.get(id_, ""))
            yield Group(fingerprint, n, capped, first, last, id_, *told)
