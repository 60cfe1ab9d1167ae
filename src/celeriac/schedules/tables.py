"""The schedules in django-celery-beat's tables, as its users edit them in the admin.

Whoever leads looks at them every few seconds, and not at its signals: a row may be changed by `.update()`, or by hand
in psql. Most looks are one number, computed where the rows are.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from django.apps import apps
from django.db import connections, router
from django.db.models import CharField, F
from django.db.models.functions import Cast
from django.utils.timezone import now

from celeriac.api import payload
from celeriac.schedules.convert import packed_policy, timing_json, zone_for, zone_of
from celeriac.schedules.definition import Definition
from celeriac.schedules.sources import attempted, judged

__all__ = ["are_there", "fingerprint", "in_tables", "note_fired"]

APP = "django_celery_beat"

#: What the fired ones change, and nobody edits.
_NOT_EDITED = {"last_run_at", "total_run_count", "date_changed"}

#: The models that hold a part of a definition.
_MODELS = ("PeriodicTask", "CrontabSchedule", "IntervalSchedule", "SolarSchedule", "ClockedSchedule")


def are_there() -> bool:
    """Whether the project has these tables."""
    return apps.is_installed(APP)


def fingerprint() -> str:
    """Return what changes when anything of the definitions does, however it was changed.

    PostgreSQL adds up a hash of each row (10,000 rows take some 20 ms there); elsewhere the rows are fetched for it.
    """
    parts = []
    for name in _MODELS:
        model: Any = apps.get_model(APP, name)
        connection = connections[router.db_for_read(model)]
        quote = connection.ops.quote_name
        columns = [quote(field.column) for field in model._meta.concrete_fields if field.name not in _NOT_EDITED]  # noqa: SLF001
        table = quote(model._meta.db_table)  # noqa: SLF001
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute(
                    f"SELECT count(*), sum(hashtextextended(ROW({', '.join(columns)})::text, 0)) FROM {table}"  # noqa: S608
                )
                parts.append(repr(cursor.fetchone()))
            else:
                cursor.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1")  # noqa: S608
                parts.append(blake2b(repr(cursor.fetchall()).encode(), digest_size=16).hexdigest())
    return "/".join(parts)


#: When rows are due, and their zones, by the keys of their interval, crontab, solar event and clocked time: many share
#: one, and to make it out takes longest.
Known = dict[tuple[int | None, ...], tuple[str, str]]


def in_tables(app: Any) -> Iterator[tuple[Definition, datetime]]:
    """Yield the schedules of the tables, each with what is wrong with it, and when it was saved last."""
    rows = apps.get_model(APP, "PeriodicTask").objects.select_related("interval", "crontab", "solar", "clocked")
    # As text: one row that names no time zone would end the query for all.
    rows = rows.defer("crontab__timezone").annotate(zone=Cast("crontab__timezone", CharField()))
    known: Known = {}
    for row in rows.order_by("id").iterator(chunk_size=1000):
        yield judged(_defined(row, app, known), app), row.date_changed


def _defined(row: Any, app: Any, known: Known) -> Definition:
    one = Definition(
        name=row.name,
        source="table",
        origin="",
        task=row.task,
        enabled=row.enabled,
        once=row.one_off,
        starts_at=row.start_time,
        ends_at=row.expires,
        description=row.description,
    )
    return attempted(one, _filled, row, app, known)


def _filled(one: Definition, row: Any, app: Any, known: Known) -> Definition:
    timing, zone = _when(row, app, known)
    headers = _object(row.headers, "headers")
    said = headers.pop("celeriac", {})
    options = {name: getattr(row, name) for name in ("queue", "exchange", "routing_key", "priority", "expire_seconds")}
    options = {name: value for name, value in options.items() if value is not None}
    if "expire_seconds" in options:
        options["expires"] = options.pop("expire_seconds")
    elif row.expires is not None:
        options["expires"] = row.expires
    args = json.loads(row.args or "[]")
    if not isinstance(args, list):
        raise ValueError(f"Its arguments are no JSON list: {row.args}")  # noqa: TRY004 - of what a person typed
    return one._replace(
        timing=timing,
        policy=packed_policy(said, zone),
        args=payload.encode(args),
        kwargs=payload.encode(_object(row.kwargs, "keyword arguments")),
        options=payload.encode({**options, "headers": {**headers, "periodic_task_name": row.name}}),
    )


def _when(row: Any, app: Any, known: Known) -> tuple[str, str]:
    key = (row.interval_id, row.crontab_id, row.solar_id, row.clocked_id)
    if key not in known:
        given = _schedule_of(row)
        known[key] = timing_json(given, app), zone_for(given, app)
    return known[key]


def _schedule_of(row: Any) -> Any:
    if row.interval:
        # Its own class rounds to nothing and knows no zone.
        return timedelta(**{row.interval.period: row.interval.every})
    if row.crontab:
        # What somebody wrote by hand may be no time zone.
        row.crontab.timezone = ZoneInfo(zone_of(row.zone))
    if row.scheduler is None:
        raise ValueError("It has no schedule: choose an interval, a crontab, a solar event or a clocked time.")
    return row.schedule


def _object(text: str | None, what: str) -> dict[str, Any]:
    found = json.loads(text or "{}")
    if not isinstance(found, dict):
        raise ValueError(f"Its {what} are no JSON object: {text}")  # noqa: TRY004
    return found


def note_fired(runs: Mapping[str, int], over: list[str]) -> None:
    """Tell the tables how often schedules fired, as their admin shows it; those in *over* are done for good."""
    rows = apps.get_model(APP, "PeriodicTask").objects
    for count in set(runs.values()):
        names = [name for name, times in runs.items() if times == count]
        rows.filter(name__in=names).update(last_run_at=now(), total_run_count=F("total_run_count") + count)
    if over:
        # No count: django-celery-beat's own scheduler takes one that has any for done when it is enabled again.
        rows.filter(name__in=over).update(enabled=False, total_run_count=0)
