"""Writing what the sources say into the rows: what is new begins, what changed goes on, what is gone ends."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Q

from celeriac.ledger.columns import batches
from celeriac.ledger.database import alias_of, clock, writing
from celeriac.schedules.definition import Definition, aware, kept, next_of, stored
from celeriac.schedules.models import Schedule
from celeriac.schedules.sources import CODE, in_code
from celeriac.schedules.tables import in_tables

__all__ = ["sync_code", "sync_tables"]


def sync_code(app: Any) -> int:
    """Write the schedules of *app*'s code; return how many rows that changed.

    Each worker does so when it starts: who started last has the newest code. Rows of other apps stay.
    """
    wanted = in_code(app)
    mine = Q(source__in=CODE, origin=str(app.main or ""))
    return _sync(wanted, mine)


def sync_tables(app: Any) -> int:
    """Write the schedules of django-celery-beat's tables; return how many rows that changed.

    Its scheduler copied those of the settings into its tables. Such a row says whether its schedule is enabled, and the
    settings say the rest.
    """
    found = {one.name: one for one in in_tables(app)}
    code = {row.name: row for row in Schedule.objects.using(alias_of()).filter(source__in=CODE)}
    own = [one for name, one in found.items() if name not in code]
    return _sync(own, Q(source="table")) + _switch(code, found)


def _switch(code: Mapping[str, Schedule], found: Mapping[str, Definition]) -> int:
    """Enable and disable schedules of code as the rows of their names in the tables are."""
    wanted = {name: found[name].enabled if name in found else True for name in code}
    changed = 0
    for name in [name for name, row in code.items() if row.enabled != wanted[name]]:
        with writing() as alias:
            row = Schedule.objects.using(alias).select_for_update().filter(name=name).first()
            if row is not None:
                row.enabled = wanted[name]
                row.next_tick = stored(next_of(row, aware(clock())))
                row.save(update_fields=["enabled", "next_tick"])
                changed += 1
    return changed


def _definition_of(row: Schedule) -> Definition:
    return Definition(**{name: getattr(row, name) for name in Definition._fields})


def _sync(wanted: Iterable[Definition], mine: Q) -> int:
    """Make the rows that *mine* selects those of *wanted*; a name that another source has is taken over."""
    changed = 0
    names: set[str] = set()
    for batch in batches(wanted):
        names.update(one.name for one in batch)
        with writing() as alias:
            now = clock()
            rows = Schedule.objects.using(alias).select_for_update().order_by("name")
            there = {row.name: row for row in rows.filter(name__in=[one.name for one in batch])}
            fresh = [_new(one, now) for one in batch if one.name not in there]
            Schedule.objects.using(alias).bulk_create(fresh, ignore_conflicts=True)
            stale = [_changed(there[one.name], one, now) for one in batch if _differs(there.get(one.name), one)]
            Schedule.objects.using(alias).bulk_update(
                stale, [*Definition._fields[1:], "next_tick", "changed_at"], batch_size=500
            )
            changed += len(fresh) + len(stale)
    gone = Schedule.objects.using(alias_of()).filter(mine)
    for batch in batches([name for name in gone.values_list("name", flat=True) if name not in names]):
        changed += gone.filter(name__in=batch).delete()[0]
    return changed


def _differs(row: Schedule | None, one: Definition) -> bool:
    return row is not None and _definition_of(row) != _kept(one, row)


def _kept(one: Definition, row: Schedule) -> Definition:
    """Return *one* as its row is to be: whether one of code is enabled is what the tables said."""
    return one._replace(enabled=row.enabled) if one.source in CODE and row.source in CODE else one


def _new(one: Definition, now: datetime) -> Schedule:
    anchor = aware(now).replace(microsecond=0)
    next_tick = stored(next_of(one, aware(now), anchor))
    return Schedule(**one._asdict(), anchor=kept(anchor), next_tick=next_tick, changed_at=now)


def _changed(row: Schedule, one: Definition, now: datetime) -> Schedule:
    """Return *row* with the new definition; one that is due at the same times stays due when it was."""
    wanted = _kept(one, row)
    same = _definition_of(row).when == wanted.when
    for name, value in wanted._asdict().items():
        setattr(row, name, value)
    row.changed_at = now
    if not same:
        row.next_tick = stored(next_of(row, aware(now)))
    return row
