"""Writing what the sources say into the rows: what is new begins, what changed goes on, what is gone ends."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from django.db.models import Q

from celeriac.ledger.columns import batches
from celeriac.ledger.database import alias_of, clock, writing
from celeriac.schedules.definition import EPOCH, Definition, aware, is_clocked, kept, next_of, stored
from celeriac.schedules.models import Schedule
from celeriac.schedules.rows import locked_row, rewrite
from celeriac.schedules.sources import CODE, in_code
from celeriac.schedules.tables import are_there, in_tables

__all__ = ["sync_code", "sync_tables"]

#: What was saved no longer ago than this was seen too late, and not long before somebody began to look.
LATELY = timedelta(seconds=10)


def sync_code(app: Any) -> int:
    """Write the schedules of *app*'s code; return how many rows that changed.

    Each worker does so when it starts: who started last has the newest code. Rows of other apps stay.
    """
    mine = Q(source__in=CODE, origin=str(app.main or ""))
    return _sync(in_code(app), mine)


def sync_tables(app: Any, meanwhile: Callable[[], object] = lambda: None) -> int:
    """Write the schedules of django-celery-beat's tables; return how many rows that changed.

    Its scheduler copied those of the settings into its tables. Such a row says whether its schedule is enabled, and the
    settings say the rest. *meanwhile* is called between rows: thousands take a second or more.
    """
    found, saved = {}, {}
    for one, changed_at in in_tables(app):
        found[one.name], saved[one.name] = one, changed_at
        meanwhile()
    code = {row.name: row for row in Schedule.objects.using(alias_of()).filter(source__in=CODE)}
    own = [one for name, one in found.items() if name not in code]
    return _sync(own, Q(source="table"), saved, meanwhile) + _switch(code, found)


def _switch(code: Mapping[str, Schedule], found: Mapping[str, Definition]) -> int:
    """Enable and disable schedules of code as the rows of their names in the tables are."""
    wanted = {name: found[name].enabled if name in found else True for name in code}
    changed = 0
    for name in [name for name, row in code.items() if row.enabled != wanted[name]]:
        with writing() as alias:
            row = locked_row(name, alias)
            if row is not None:
                row.enabled = wanted[name]
                row.next_tick = stored(next_of(row, aware(clock())))
                row.save(update_fields=["enabled", "next_tick"])
                changed += 1
    return changed


def _definition_of(row: Schedule) -> Definition:
    return Definition(**{name: getattr(row, name) for name in Definition._fields})


def _sync(
    wanted: Iterable[Definition],
    mine: Q,
    saved: Mapping[str, datetime] = MappingProxyType({}),
    meanwhile: Callable[[], object] = lambda: None,
) -> int:
    """Make the rows that *mine* selects those of *wanted*; a name that another source has is taken over."""
    changed = 0
    names: set[str] = set()
    for batch in batches(wanted):
        names.update(one.name for one in batch)
        with writing() as alias:
            now = clock()
            seen = {one.name: _seen_from(saved.get(one.name), now) for one in batch}
            rows = Schedule.objects.using(alias).select_for_update().order_by("name")
            there = {row.name: row for row in rows.filter(name__in=[one.name for one in batch])}
            fresh = [_new(one, now, seen[one.name]) for one in batch if one.name not in there]
            Schedule.objects.using(alias).bulk_create(fresh, ignore_conflicts=True)
            stale = [
                _changed(there[one.name], one, now, seen[one.name])
                for one in batch
                if _differs(there.get(one.name), one)
            ]
            rewrite(stale, [*Definition._fields[1:], "next_tick", "changed_at"], alias)
            changed += len(fresh) + len(stale)
        meanwhile()
    gone = Schedule.objects.using(alias_of()).filter(mine)
    for batch in batches([name for name in gone.values_list("name", flat=True) if name not in names]):
        changed += gone.filter(name__in=batch).delete()[0]
    return changed


def _differs(row: Schedule | None, one: Definition) -> bool:
    return row is not None and _definition_of(row) != _kept(one, row)


def _kept(one: Definition, row: Schedule) -> Definition:
    """Return *one* as its row is to be: whether one of code is enabled is what the tables said, as long as there are
    some.
    """
    return one._replace(enabled=row.enabled) if one.source in CODE and are_there() else one


def _seen_from(saved: datetime | None, now: datetime) -> datetime:
    """Return when a definition began to count: it may have become due since it was saved, before we looked."""
    return saved if saved is not None and now - LATELY <= saved <= now else now


def _first(row: Schedule | Definition, seen: datetime, anchor: datetime | None = None) -> datetime | None:
    if is_clocked(row):
        # Its time may be past, as where it was to be at once. It is due all the same, as with Celery; and once.
        seen = EPOCH
    found = next_of(row, aware(seen), anchor)
    last = row.last_tick if isinstance(row, Schedule) else None
    return None if is_clocked(row) and last is not None and stored(found) == last else found


def _new(one: Definition, now: datetime, seen: datetime) -> Schedule:
    anchor = aware(seen).replace(microsecond=0)
    next_tick = stored(_first(one, seen, anchor))
    return Schedule(**one._asdict(), anchor=kept(anchor), next_tick=next_tick, changed_at=now)


def _changed(row: Schedule, one: Definition, now: datetime, seen: datetime) -> Schedule:
    """Return *row* with the new definition; one that is due at the same times stays due when it was."""
    wanted = _kept(one, row)
    same = _definition_of(row).when == wanted.when
    for name, value in wanted._asdict().items():
        setattr(row, name, value)
    row.changed_at = now
    if not same:
        row.next_tick = stored(_first(row, seen))
    return row
