"""settle: any resting state, or no row, → an end, for a job that no claim holds."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from celeriac import events
from celeriac.ledger import bell, portable_ends
from celeriac.ledger.columns import arrays
from celeriac.ledger.database import execute, is_postgresql, writing
from celeriac.ledger.models import Attempt
from celeriac.ledger.rows import Settlement

__all__ = ["Settled", "bring_to_end", "settle"]


class Settled(NamedTuple):
    """What a settle did: the ids it ended, and whom to ring for (queues, and upkeep for a lane)."""

    ids: list[UUID]
    freed: list[str]


def settle(settlements: Sequence[Settlement], *, using: str | None = None) -> Settled:
    """End jobs that are not running. A running or ended job is left alone; a missing one is made if a task is named.

    Used for what never ran or ran elsewhere: the rest of a chain whose step died, a message nobody can read, a
    cancelled job, the result of a task that lives on the broker (`durable=False`).
    """
    settled = bring_to_end(settlements, using=using)
    if settlements:
        events.emit("settle", settlements=settlements, settled=settled)
    return settled


def bring_to_end(settlements: Sequence[Settlement], *, using: str | None = None) -> Settled:
    """Do what `settle` does, for a verb that tells of it under its own name."""
    if not settlements:
        return Settled([], [])
    with writing(using) as alias:
        if is_postgresql(using):
            params = arrays(settlements)
            del params["traceback"]
            [(ids, freed, lanes)] = execute("settle", params, using)
        else:
            ids, freed, lanes = portable_ends.settle(settlements, using=using)
        settled = Settled(ids or [], [*(freed or []), *([bell.SCHEDULED] if lanes else [])])
        ended = set(settled.ids)
        stories = {s.id: portable_ends.story_of(s, alias) for s in settlements if s.traceback and s.id in ended}
        Attempt.objects.using(alias).bulk_create(stories.values())
    return settled
