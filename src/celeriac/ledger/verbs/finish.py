"""finish: running → succeeded, dead or cancelled; and waiting → ready for what waited for these jobs."""

from collections.abc import Sequence
from dataclasses import dataclass

from celeriac import events, faults
from celeriac.ledger import bell, portable
from celeriac.ledger.columns import arrays, stories
from celeriac.ledger.database import execute, is_postgresql
from celeriac.ledger.rows import Ending, Failure

__all__ = ["Finished", "finish", "write_ends"]


@dataclass(frozen=True, slots=True)
class Finished:
    """What a finish did: rows moved, rows refused by the fence, whom to ring for (queues, and upkeep for a lane)."""

    count: int
    stale: int
    freed: list[str]
    awaited: bool = False  # somebody waits for results, perhaps one of these


def finish(endings: Sequence[Ending], failures: Sequence[Failure] = (), *, using: str | None = None) -> Finished:
    """End claimed jobs, with the stories of those that failed, in one transaction.

    A job whose claim is no longer the row's (rescued, finished by another) is left as it is and counted as stale.
    """
    finished = write_ends(endings, failures, using=using)
    if endings:
        events.emit("finish", endings=endings, failures=failures, stale=finished.stale)
    return finished


def write_ends(endings: Sequence[Ending], failures: Sequence[Failure], *, using: str | None = None) -> Finished:
    """Do what `finish` does, for a verb that tells of it under its own name."""
    if not endings:
        return Finished(0, 0, [])
    faults.point("finish.before_statement")
    if is_postgresql(using):
        [(count, freed, lanes, awaited)] = execute("finish", arrays(endings) | stories(failures), using)
    else:
        count, freed, lanes = portable.finish(endings, failures, using=using)
        awaited = False  # nobody could be told
    freed = [*(freed or []), *([bell.SCHEDULED] if lanes else [])]
    finished = Finished(count, len(endings) - count, freed, awaited)
    faults.point("finish.after_statement")
    return finished
