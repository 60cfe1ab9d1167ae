"""cancel: resting → cancelled; a job that runs is asked, or its process is to be ended."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from django.db.utils import OperationalError

from celeriac import events, faults
from celeriac.ledger import portable_ends
from celeriac.ledger.columns import batches
from celeriac.ledger.database import execute, explained, is_postgresql, writing
from celeriac.ledger.rows import Settlement
from celeriac.ledger.states import ENDED, State
from celeriac.ledger.verbs.settle import Settled, bring_to_end

__all__ = ["Cancelled", "cancel"]

#: Whoever ends, releases or revokes many of the same jobs at once locks them in another order. PostgreSQL notices after
#: a second and lets one go on; the other tries again.
TRIES = 3


class Cancelled(NamedTuple):
    """What a cancel did, by the jobs' ids.

    Attributes:
        settled: rested, and are cancelled now.
        asked: are running, and marked.
        ended: had ended before. An id in none of the three is not in the ledger.
        freed: the queues with jobs that became ready.
    """

    settled: list[UUID]
    asked: list[UUID]
    ended: list[UUID]
    freed: list[str]


def cancel(
    ids: Iterable[UUID], *, signal: str | None = None, reason: str = "revoked", using: str | None = None
) -> Cancelled:
    """Cancel jobs that rest, and mark those that run, in the caller's transaction.

    A marked job never starts another attempt: its worker ends it as cancelled when its body has not begun or asks for
    another attempt, and what comes back by any other way is refused by `claim` and cancelled by `expire`. An end that
    its body comes to by itself stands. *signal* is the name of the one that shall end the body's process ("SIGTERM");
    None only asks.

    Raises:
        NotMigrated: when the ledger's tables do not exist.
        django.db.DatabaseError: when the database refuses or is away.
    """
    settled, asked, ended, freed = list[UUID](), list[UUID](), list[UUID](), set[str]()
    for batch in batches(sorted(set(ids))):
        with explained(using):
            part = _insist(batch, signal or "ask", reason, using)
        settled += part.settled
        asked += part.asked
        ended += part.ended
        freed.update(part.freed)
        events.emit("cancel", ids=batch, signal=signal, reason=reason, cancelled=part)
    return Cancelled(settled, asked, ended, sorted(freed))


def _insist(ids: Sequence[UUID], how: str, reason: str, using: str | None) -> Cancelled:
    for _ in range(TRIES - 1):
        try:
            return _cancel(ids, how, reason, using)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != "40P01":  # deadlock detected
                raise
    return _cancel(ids, how, reason, using)


def _cancel(ids: Sequence[UUID], how: str, reason: str, using: str | None) -> Cancelled:
    with writing(using):
        if is_postgresql(using):
            found = [(id_, state) for id_, state in execute("cancel", {"id": list(ids), "cancel": how}, using)]
        else:
            found = portable_ends.cancel(ids, how, using=using)
        faults.point("cancel.after_marks")
        rest = [id_ for id_, state in found if state != State.RUNNING and state not in ENDED]
        settled: Settled = bring_to_end([Settlement(id_, State.CANCELLED, reason) for id_ in rest], using=using)
    asked = [id_ for id_, state in found if state == State.RUNNING]
    return Cancelled(settled.ids, asked, [id_ for id_, state in found if state in ENDED], settled.freed)
