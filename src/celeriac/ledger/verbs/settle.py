"""settle: any resting state, or no row, → an end, for a job that no claim holds."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from celeriac import events
from celeriac.ledger import portable
from celeriac.ledger.columns import arrays
from celeriac.ledger.database import execute, is_postgresql, writing
from celeriac.ledger.models import Attempt
from celeriac.ledger.rows import Settlement

__all__ = ["Settled", "settle"]


class Settled(NamedTuple):
    """What a settle did: the ids it ended, and the queues with jobs that became ready."""

    ids: list[UUID]
    freed: list[str]


def settle(settlements: Sequence[Settlement], *, using: str | None = None) -> Settled:
    """End jobs that are not running. A running or ended job is left alone; a missing one is made if a task is named.

    Used for what never ran or ran elsewhere: the rest of a chain whose step died, a message nobody can read, a
    cancelled job, the result of a task that lives on the broker (`durable=False`).
    """
    if not settlements:
        return Settled([], [])
    with writing(using) as alias:
        if is_postgresql(using):
            params = arrays(settlements)
            tracebacks = params.pop("traceback")
            [(ids, freed)] = execute("settle", params, using)
        else:
            tracebacks = [settlement.traceback for settlement in settlements]
            ids, freed = portable.settle(settlements, using=using)
        settled = Settled(ids or [], freed or [])
        stories = [s for s, text in zip(settlements, tracebacks, strict=True) if text and s.id in settled.ids]
        Attempt.objects.using(alias).bulk_create([portable.story_of(s, alias) for s in stories])
    events.emit("settle", settlements=settlements, settled=settled)
    return settled
