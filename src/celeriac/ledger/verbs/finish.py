"""finish: running → succeeded, dead or cancelled; and waiting → ready for what waited for these jobs."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from celeriac import events, faults
from celeriac.ledger import portable
from celeriac.ledger.columns import arrays
from celeriac.ledger.database import alias_of, execute, is_postgresql
from celeriac.ledger.rows import Ending, Failure
from celeriac.ledger.verbs.failures import keep_failures

__all__ = ["Finished", "finish", "write_ends"]


@dataclass(frozen=True, slots=True)
class Finished:
    """What a finish did: rows moved, rows refused by the fence, queues with jobs that became ready."""

    count: int
    stale: int
    freed: list[str]


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
    if not is_postgresql(using):
        count, freed = portable.finish(endings, failures, using=using)
    elif failures:
        with transaction.atomic(using=alias_of(using)):
            keep_failures(failures, using=using)
            count, freed = _finish(endings, using)
    else:
        count, freed = _finish(endings, using)
    finished = Finished(count, len(endings) - count, freed)
    faults.point("finish.after_statement")
    return finished


def _finish(endings: Sequence[Ending], using: str | None) -> tuple[int, list[str]]:
    [(count, freed)] = execute("finish", arrays(endings), using)
    return count, freed or []
