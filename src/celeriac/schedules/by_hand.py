"""What everything that is done by hand to a schedule has in common: its row, its jobs, and the account of it."""

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from celeriac.ledger.audit import Action
from celeriac.ledger.database import clock
from celeriac.ledger.ids import new_id
from celeriac.ledger.rows import By
from celeriac.ledger.selection import Selection
from celeriac.schedules.definition import policy
from celeriac.schedules.fire import make_jobs
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.plan import Plan
from celeriac.schedules.policies import Planned
from celeriac.schedules.queries import no_schedule
from celeriac.schedules.rows import locked_row

__all__ = ["account", "made", "refuse_broken", "row_of"]


def row_of(name: str, alias: str) -> Schedule:
    """Return the schedule's row, locked; raises NoSchedule."""
    row = locked_row(name, alias)
    if row is None:
        raise no_schedule(name)
    return row


def refuse_broken(row: Schedule) -> None:
    """Refuse what needs more of a definition than was understood: its arguments may be among the rest."""
    if row.timing == "{}":
        raise ValueError(f"Schedule {row.name} is broken: {row.trouble or 'it has no times.'}")


def made(app: Any, row: Schedule, instants: list[datetime], kind: str, alias: str) -> list[Tick]:
    """Make ticks that are jobs, all of *instants*."""
    if not instants:
        return []
    said = policy(row)
    one = Plan(row, said, [Planned(instant) for instant in instants], None, kind=kind)
    # By hand: no tick is left out for what is open; calls still read the overlap for their lane.
    jobs = make_jobs(app, [one], clock(), alias, by_hand=True)
    ticks = one.rows(jobs, clock())
    Tick.objects.using(alias).bulk_create(ticks, batch_size=500)
    return ticks


def account(
    verb: str,
    row: Schedule,
    by: By,
    alias: str,
    *,
    jobs: Collection[Tick] = (),
    matched: int | None = None,
    options: dict[str, Any] | None = None,
) -> None:
    """Write down who did what; *jobs* are the ticks that it made."""
    now = clock()
    ids = tuple(tick.job for tick in jobs if tick.job is not None)
    Action.objects.using(alias).create(
        id=UUID(new_id()),
        verb=verb,
        **by._asdict(),
        schedule=row.name,
        selection=Selection(ids=ids[:1000]).as_json(),
        options=json.dumps(options or {}),
        state="done",
        matched=len(jobs) if matched is None else matched,
        changed=len(jobs),
        created_at=now,
        moved_at=now,
        ended_at=now,
    )
