"""In which order an action comes to its jobs, and how far it has come: each batch starts where the last one ended."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from celeriac.ledger.selection import Selection
from celeriac.ledger.states import OPEN, State

__all__ = ["next_jobs"]


def next_jobs(
    selection: Selection, until: datetime, options: dict[str, Any], limit: int, *, using: str | None = None
) -> tuple[list[UUID], list[str]]:
    """Return up to *limit* jobs that are next, and the place after them, which goes into `options["at"]`.

    By ids, those in their order. Of the dead the longest dead first, through their index. Others that ended by their
    id, so that each is looked at once, since no index has them. Open ones have no order and no place: what has been
    cancelled or marked is not selected any more.
    """
    at: list[str] = options.get("at") or []
    if selection.ids:
        ids = [id_ for id_ in selection.ids if not at or id_ > UUID(at[-1])][:limit]
        return ids, [str(ids[-1])] if ids else at
    for state in selection.states[selection.states.index(at[0]) if at else 0 :]:
        place = at[1:] if at and at[0] == state else []
        ids, after = _of(state, selection, until, place, options, limit, using)
        if ids:
            return ids, [state, *after]
    return [], at


def _of(
    state: str,
    selection: Selection,
    until: datetime,
    place: list[str],
    options: dict[str, Any],
    limit: int,
    using: str | None,
) -> tuple[list[UUID], list[str]]:
    rows = selection.rows(using).filter(state=state)
    if state in OPEN:
        marks = ["", "ask"] if options.get("signal") else [""]
        ids = list(rows.filter(cancel__in=marks, created_at__lte=until).values_list("id", flat=True)[:limit])
        return ids, []
    rows = rows.filter(finished_at__lte=until)
    if state != State.DEAD:
        rows = rows.filter(id__gt=UUID(place[0])) if place else rows
        ids = list(rows.order_by("id").values_list("id", flat=True)[:limit])
        return ids, [str(ids[-1])] if ids else place
    if place:
        since, id_ = datetime.fromisoformat(place[0]), UUID(place[1])
        rows = rows.filter(Q(finished_at__gt=since) | Q(id__gt=id_), finished_at__gte=since)
    found = list(rows.order_by("finished_at", "id").values_list("finished_at", "id")[:limit])
    if not found:
        return [], place
    ended, last = found[-1]
    return [id_ for _, id_ in found], [ended.isoformat() if ended else "", str(last)]
