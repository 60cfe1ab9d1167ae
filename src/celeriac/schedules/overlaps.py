"""What a tick means while the job of an earlier one of its schedule is open."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from celeriac.ledger import bell
from celeriac.ledger.models import Job
from celeriac.ledger.states import OPEN, State
from celeriac.ledger.verbs.cancel import cancel
from celeriac.schedules.models import Schedule, Tick

__all__ = ["Open", "open_jobs"]


@dataclass
class Open:
    """The jobs of a schedule that have not ended."""

    running: list[UUID] = field(default_factory=list)
    resting: list[UUID] = field(default_factory=list)
    alias: str | None = None
    _fresh: bool = False  # one was fired just now

    def may_fire(self, overlap: str) -> bool:
        """Whether a tick is a job; with "cancel_running" the open ones are cancelled for it."""
        if not (self.running or self.resting or self._fresh):
            return True
        if overlap == "queue_one":
            return not (self.resting or self._fresh)
        if overlap == "cancel_running" and not self._fresh:
            cancelled = cancel([*self.running, *self.resting], using=self.alias)
            bell.ring_on_commit([*cancelled.freed, *([bell.CANCEL] if cancelled.asked else [])], done=True)
            self.running, self.resting = [], []
            return True
        return False

    def fired(self) -> None:
        """Note that a job was asked for."""
        self._fresh = True


def open_jobs(rows: Sequence[Schedule], alias: str) -> dict[str, Open]:
    """Return the open jobs of the schedules of *rows*, by name."""
    names = [row.name for row in rows]
    if not names:
        return {}
    ticks = Tick.objects.using(alias).filter(outcome="fired", schedule__in=names)
    schedule_of = dict(ticks.values_list("job", "schedule"))
    jobs = Job.objects.using(alias).filter(id__in=list(schedule_of), state__in=sorted(OPEN)).values_list("id", "state")
    found = {name: Open(alias=alias) for name in names}
    for id_, state in jobs:
        one = found[schedule_of[id_]]
        (one.running if state == State.RUNNING else one.resting).append(id_)
    return found
