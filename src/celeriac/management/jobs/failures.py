"""The attempts that did not succeed, in the order they are written."""

from collections import deque
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import QuerySet

from celeriac.ledger.database import alias_of
from celeriac.ledger.models import Attempt, Job
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import ENDED
from celeriac.management.jobs.telling import cause

__all__ = ["Failures", "Happening"]


class Happening(NamedTuple):
    """Something that happened to a job: it ended, or an attempt did not succeed."""

    at: datetime
    what: str  # the state that it ended in, or the kind of the attempt
    job: Job
    exception: str
    message: str | None
    said: str | None = None  # in one line; None: as the job's state says it


class Failures:
    """Those of the attempts that were not the end of their job.

    A row's number is taken before its transaction commits, so a lower one may come after a higher one: numbers are
    looked at again for some seconds.
    """

    def __init__(self, selection: Selection, late: float) -> None:
        # What is said of the dead alone (state, exception, group, end) is no matter of a job that goes on.
        kept = ("task", "queue", "reason", "key", "worker", "text")
        self.of_jobs = Selection(**{name: value for name, value in selection.filters.items() if name in kept})
        self.none = bool(selection.fingerprint)
        self.exception, self.late = selection.exception, timedelta(seconds=late)
        attempts = Attempt.objects.using(alias_of())
        self.floor: int = attempts.order_by("-id").values_list("id", flat=True).first() or 0
        self.highest: deque[tuple[datetime, int]] = deque()
        self.seen: set[int] = set()

    def last(self, size: int) -> list[Happening]:
        """Return the last ones before we began."""
        found = self._attempts().filter(id__lte=self.floor).order_by("-id")[:size]
        return [self._told(attempt) for attempt in found if not _was_the_end(attempt)]

    def look(self, now: datetime) -> list[Happening]:
        """Return those that have been written since the last look."""
        new = [each for each in self._attempts().filter(id__gt=self.floor).order_by("id") if each.id not in self.seen]
        self.seen.update(attempt.id for attempt in new)
        if new:
            self.highest.append((now, new[-1].id))
        while self.highest and self.highest[0][0] < now - self.late:
            self.floor = max(self.floor, self.highest.popleft()[1])
        self.seen = {id_ for id_ in self.seen if id_ > self.floor}
        return [self._told(attempt) for attempt in new if not _was_the_end(attempt)]

    def _attempts(self) -> QuerySet[Attempt]:
        attempts = Attempt.objects.using(alias_of()).select_related("job").defer("traceback", "job__result")
        if self.none:
            return attempts.none()
        if self.exception:
            attempts = attempts.filter(exception=self.exception)
        return attempts.filter(job__in=self.of_jobs.rows()) if self.of_jobs.filters else attempts

    def _told(self, attempt: Attempt) -> Happening:
        said = cause(attempt.exception, "", attempt.message)
        return Happening(attempt.finished_at, attempt.kind, attempt.job, attempt.exception, attempt.message, said)


def _was_the_end(attempt: Attempt) -> bool:
    return attempt.job.state in ENDED and attempt.job.claim_no == attempt.claim_no
