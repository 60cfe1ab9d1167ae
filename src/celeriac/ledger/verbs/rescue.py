"""rescue: running → ready, scheduled, dead or cancelled, for the jobs of a worker that is lost."""

from collections.abc import Callable
from typing import NamedTuple

from celeriac import events, faults
from celeriac.ledger import portable
from celeriac.ledger.database import clock, connection_of, writing
from celeriac.ledger.models import Job, Worker
from celeriac.ledger.rows import ClaimedJob, Ending, Failure, Return, Sighting
from celeriac.ledger.states import State
from celeriac.ledger.verbs.finish import write_ends
from celeriac.ledger.verbs.reschedule import write_returns

__all__ = ["Judged", "Rescued", "rescue"]


class Judged(NamedTuple):
    """What is to become of a lost worker's jobs: those that get another attempt, those that end, and their stories."""

    returns: list[Return]
    endings: list[Ending]
    failures: list[Failure]


class Rescued(NamedTuple):
    """What a rescue did: the jobs it found, the queues with work, whether some job is due later, the verdicts."""

    held: list[ClaimedJob]
    queues: set[str]
    later: bool
    judged: Judged


def rescue(lost: Sighting, judge: Callable[[list[ClaimedJob]], Judged], *, using: str | None = None) -> Rescued | None:
    """Take the jobs of the *lost* worker from it, as *judge* decides, and remove its row; all in one transaction.

    None, and nothing changed, when the worker has renewed since it was sighted, or somebody else is at it.
    """
    with writing(using) as alias:
        rows = Worker.objects.using(alias).filter(id=lost.id)
        if lost.seen_at is None:
            if rows.exists():
                return None
        else:
            skips = connection_of(using).features.has_select_for_update_skip_locked
            if not rows.select_for_update(skip_locked=skips).filter(seen_at=lost.seen_at).exists():
                return None
        faults.point("rescue.after_lock")
        # Locked, or one that its worker ends in this moment would be told of as lost.
        running = Job.objects.using(alias).select_for_update().filter(worker=lost.id, state=State.RUNNING)
        held = portable.claimed(running.order_by("id"), clock(using))
        judged = judge(held)
        ending = {end.id for end in judged.endings}
        ended = write_ends(judged.endings, [story for story in judged.failures if story.id in ending], using=using)
        rest = [story for story in judged.failures if story.id not in ending]
        moved = write_returns(judged.returns, rest, using=using)
        Worker.objects.using(alias).filter(id=lost.id).delete()
    queues = {queue for queue, state, _ in moved if state == "ready"}
    later = any(state == "scheduled" for _, state, _ in moved)
    rescued = Rescued(held, queues | set(ended.freed), later, judged)
    events.emit("rescue", lost=lost, rescued=rescued)
    return rescued
