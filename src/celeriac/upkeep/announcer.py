"""Having the dead told of, in whichever worker leads."""

from collections.abc import Callable, Iterable

from celeriac.ledger import bell
from celeriac.ledger.columns import BATCH
from celeriac.ledger.database import poll_seconds
from celeriac.ledger.models import Job
from celeriac.ledger.rows import NewJob
from celeriac.ledger.verbs import announce

__all__ = ["announcer"]


def announcer(leads: Callable[[], bool], tellers: Callable[[list[Job]], Iterable[NewJob]]) -> Callable[[], float]:
    """Return a round for a `Loop`: inserts a job for each new death that somebody wants to be told of."""

    def round_() -> float:
        if not leads():
            return max(1.0, poll_seconds())
        count, jobs = announce(tellers)
        bell.ring_ready({job.queue for job in jobs})
        return 0.0 if count == BATCH else max(1.0, poll_seconds())

    return round_
