"""What may be read of the ledger. Nothing here changes a row."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Count

from celeriac.ledger import portable, portable_presence
from celeriac.ledger.database import alias_of, clock, execute, is_postgresql
from celeriac.ledger.models import Attempt, Edge, Job
from celeriac.ledger.rows import ClaimedJob, Sighting
from celeriac.ledger.states import ENDED, OPEN, State

__all__ = [
    "Account",
    "account",
    "cancels_of",
    "find",
    "held_by",
    "parents_of",
    "sightings",
    "traceback_of",
]


class Account(dict[str, int]):
    """How many jobs stand in each state."""

    @property
    def inserted(self) -> int:
        """All jobs there are."""
        return sum(self.values())

    @property
    def open(self) -> int:
        """Jobs that have not ended."""
        return sum(self[state] for state in OPEN)

    @property
    def ended(self) -> int:
        """Jobs that have ended."""
        return sum(self[state] for state in ENDED)


def account(*, using: str | None = None) -> Account:
    """Count the jobs by state; every state is there, with 0 where no job is."""
    counted = Job.objects.using(alias_of(using)).values_list("state").annotate(Count("id"))
    return Account({state.value: 0 for state in State} | dict(counted))


def find(id_: UUID, *, using: str | None = None) -> Job | None:
    """Return the job, or None where there is no such row."""
    return Job.objects.using(alias_of(using)).filter(id=id_).first()


def held_by(worker: UUID, *, using: str | None = None) -> list[ClaimedJob]:
    """Return the jobs that the ledger says *worker* is running."""
    running = Job.objects.using(alias_of(using)).filter(worker=worker, state=State.RUNNING)
    return portable.claimed(running, clock(using))


def cancels_of(worker: UUID, *, using: str | None = None) -> list[tuple[UUID, str]]:
    """Return (id, "ask" or a signal's name) of the jobs that *worker* runs and somebody asked to cancel."""
    running = Job.objects.using(alias_of(using)).filter(worker=worker, state=State.RUNNING)
    return list(running.filter(cancel__gt="").values_list("id", "cancel"))


def sightings(*, using: str | None = None) -> list[Sighting]:
    """Return every worker that has a row, and every one that only running jobs still name."""
    if is_postgresql(using):
        return [Sighting(*row) for row in execute("sightings", {}, using)]
    return portable_presence.sightings(using=using)


def traceback_of(id_: UUID, *, using: str | None = None) -> str | None:
    """Return the traceback of the job's last failed attempt."""
    attempts = Attempt.objects.using(alias_of(using)).filter(job_id=id_).order_by("-id")
    return attempts.values_list("traceback", flat=True).first()


def parents_of(id_: UUID, *, using: str | None = None) -> Iterable[Job]:
    """Return the jobs that *id_* waited for, in the order they were given."""
    alias = alias_of(using)
    ids = list(Edge.objects.using(alias).filter(child_id=id_).order_by("position").values_list("parent", flat=True))
    found = Job.objects.using(alias).in_bulk(ids)
    return [found[parent] for parent in ids if parent in found]
