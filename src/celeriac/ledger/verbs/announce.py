"""announce: marks the newly dead as told of, and inserts the jobs that tell. Moves no job."""

from collections.abc import Callable, Iterable

from celeriac import events, faults
from celeriac.ledger.columns import BATCH
from celeriac.ledger.database import alias_of, locked, writing
from celeriac.ledger.models import Job
from celeriac.ledger.rows import NewJob
from celeriac.ledger.states import State
from celeriac.ledger.verbs.insert import insert

__all__ = ["announce"]


def announce(
    tellers: Callable[[list[Job]], Iterable[NewJob]], limit: int = BATCH, *, using: str | None = None
) -> tuple[int, list[NewJob]]:
    """Take up to *limit* dead jobs that nobody was told of; return how many, and the jobs inserted to tell of them.

    Once a death: the mark and what *tellers* makes of it commit together, and a job that dies again after a replay is
    unmarked by then. The jobs that *tellers* is given know only what decides whether anybody wants to be told.
    """
    untold = Job.objects.using(alias_of(using)).filter(state=State.DEAD, announced=False)
    if not untold.exists():
        return 0, []
    with writing(using) as alias:
        dead = list(locked(untold, using).only("id", "task", "queue", "reason", "replays").order_by("id")[:limit])
        jobs = list(tellers(dead))
        insert(jobs, using=using)
        faults.point("announce.before_marks")
        Job.objects.using(alias).filter(id__in=[job.id for job in dead]).update(announced=True)
    if dead:
        events.emit("announce", dead=dead, jobs=jobs)
    return len(dead), jobs
