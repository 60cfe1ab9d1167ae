"""How many jobs stand where, by queue or by task, soon enough to be asked for at any moment and any size.

Where an index is in the order of the name, the names are gone through one by one and each is counted up to a cap.
Where none is, as many rows as the cap are looked at, and what is counted of them is "at least".
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from celeriac.ledger.database import alias_of, clock
from celeriac.ledger.dead import CAP
from celeriac.ledger.models import Job
from celeriac.ledger.names import INDEXED, names
from celeriac.ledger.states import State

__all__ = ["SHOWN", "Count", "Standing", "running_by_worker", "standings"]

#: The states that are counted; succeeded and cancelled jobs have no index, and are history.
SHOWN = (State.READY, State.RUNNING, State.SCHEDULED, State.WAITING, State.DEAD)

#: Of more names than these the rest is not looked for.
MOST_NAMES = 500


class Count(NamedTuple):
    """A number of jobs, or at least so many."""

    number: int = 0
    more: bool = False

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.more else ''}"


class Standing(NamedTuple):
    """The jobs of one queue or task."""

    name: str
    counts: dict[State, Count]  # a state that is not there: none
    oldest: datetime | None  # when the ready job that waits longest became due; of a queue
    died: Count  # within the last hour

    def of(self, state: State) -> Count:
        """Return how many are in *state*."""
        return self.counts.get(state, Count())


def standings(column: str = "queue", cap: int = CAP, *, using: str | None = None) -> list[Standing]:
    """Return how the jobs of each queue (*column* "queue") or task ("task") stand, by name."""
    jobs = Job.objects.using(alias_of(using))
    hour_ago = clock(using) - timedelta(hours=1)
    counts: dict[str, dict[State, Count]] = {}
    for state in SHOWN:
        rows = jobs.filter(state=state)
        for name, count in _counted(column, state, rows, cap, using):
            counts.setdefault(name, {})[state] = count
    found = []
    for name in sorted(counts):
        own = jobs.filter(**{column: name})
        oldest = _oldest(own) if column == "queue" and State.READY in counts[name] else None
        dead = own.filter(state=State.DEAD, finished_at__gte=hour_ago)
        died = _capped(dead, cap) if State.DEAD in counts[name] else Count()
        found.append(Standing(name, counts[name], oldest, died))
    return found


def _counted(
    column: str, state: State, rows: QuerySet[Job], cap: int, using: str | None
) -> Iterator[tuple[str, Count]]:
    if column in INDEXED.get(state, ()):
        for name in names(column, MOST_NAMES, state=state, using=using):
            yield name, _capped(rows.filter(**{column: name}), cap)
        return
    seen = Counter(rows.values_list(column, flat=True)[:cap])
    more = seen.total() >= cap
    for name, number in seen.items():
        yield name, Count(number, more)


def _capped(rows: QuerySet[Job], cap: int) -> Count:
    number = rows[:cap].count()
    return Count(number, number >= cap)


def _oldest(rows: QuerySet[Job]) -> datetime | None:
    """Return the earliest `run_at`: of each priority the first, since the index has the priority before the time."""
    ready = rows.filter(state=State.READY).order_by("-priority", "run_at", "id").values_list("priority", "run_at")
    earliest: datetime | None = None
    first = ready.first()
    while first is not None:
        priority, run_at = first
        earliest = run_at if earliest is None else min(earliest, run_at)
        first = ready.filter(priority__lt=priority).first()
    return earliest


def running_by_worker(cap: int = CAP, *, using: str | None = None) -> dict[UUID, int]:
    """Return how many jobs each worker holds."""
    running = Job.objects.using(alias_of(using)).filter(state=State.RUNNING, worker__isnull=False)
    return dict(Counter(worker for worker in running.values_list("worker", flat=True)[:cap] if worker is not None))
