"""What is decided of one schedule, on its way into the rows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from celeriac.schedules.definition import aware, kept, policy, skips, stored, timing
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.policies import Planned, Policy, decide
from celeriac.schedules.ticks import Clocked

__all__ = ["Plan", "plan"]


@dataclass
class Plan:
    """A schedule's row, locked; the ticks that are due, and what follows."""

    row: Schedule
    policy: Policy
    ticks: list[Planned]
    next: datetime | None
    kind: str = "due"
    notes: dict[datetime, str] = field(default_factory=dict)  # why a tick failed
    broken: str = ""  # why nothing can be said of the schedule at all

    @property
    def overlap(self) -> str:
        """What a tick means while an earlier one's job is open."""
        return self.policy.overlap

    @property
    def overlaps(self) -> bool:
        """Whether that has to be known."""
        return self.overlap != "allow" and any(not tick.skip for tick in self.ticks)

    def failed(self, why: str) -> "Plan":
        """Return the same with no tick but failed ones."""
        self.notes = {tick.instant: why for tick in self.ticks if not tick.skip}
        return self

    def rows(self, jobs: Mapping[tuple[str, datetime], Any], now: datetime) -> list[Tick]:
        """Return the ticks' rows."""
        return [self._tick(tick, jobs, now) for tick in self.ticks]

    def _tick(self, tick: Planned, jobs: Mapping[tuple[str, datetime], Any], now: datetime) -> Tick:
        row = Tick(
            schedule=self.row.name,
            instant=kept(tick.instant),
            kind=self.kind,
            outcome="skipped",
            reason=tick.skip,
            count=tick.times,
            fired_at=now,
        )
        key = (self.row.name, tick.instant)
        if tick.instant in self.notes:
            row.outcome, row.note = "failed", self.notes[tick.instant][:2000]
        elif key in jobs:
            row.job = jobs[key]
            row.outcome = "fired" if row.job is not None else "sent"
            if row.job is not None and self.policy.within is not None:
                row.deadline = stored(max(tick.instant, aware(now)) + self.policy.within)
        return row

    def fired(self, jobs: Mapping[tuple[str, datetime], Any]) -> int:
        """Return how many ticks are jobs."""
        return sum((self.row.name, tick.instant) in jobs for tick in self.ticks)

    def moved(self, jobs: Mapping[tuple[str, datetime], Any]) -> Schedule:
        """Return the row as it is to be."""
        row = self.row
        if self.broken:
            row.trouble, row.next_tick = self.broken[:2000], None
            return row
        if self.ticks:
            row.last_tick = stored(self.ticks[-1].instant)
        row.next_tick = None if row.once and self.fired(jobs) else stored(self.next)
        still = [text for text in json.loads(row.skips) if self.next and datetime.fromisoformat(text) >= self.next]
        row.skips = json.dumps(still)
        return row


def plan(row: Schedule, now: datetime) -> Plan:
    """Decide what is due of a schedule; one that makes no sense gets nothing but its trouble."""
    assert row.next_tick is not None
    try:
        said, due = policy(row), aware(row.next_tick)
        # One that ends with its first job looks at one instant at a time: at the next if there was no job.
        decision = decide(Clocked(due) if row.once else timing(row), said, due, aware(now), skips(row))
        following = timing(row).after(due) if row.once and due <= aware(now) else decision.next
    except Exception as error:  # noqa: BLE001 - of one schedule; the others are fired
        return Plan(row, Policy(), [], None, broken=f"{type(error).__name__}: {error}")
    return Plan(row, said, decision.ticks, following)
