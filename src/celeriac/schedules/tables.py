"""The schedules in django-celery-beat's tables, as its users edit them in the admin.

Whoever leads looks at them every few seconds, and not at its signals: a row may be changed by `.update()`, or by hand
in psql. Most looks are one number, computed where the rows are.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from hashlib import blake2b
from typing import Any

from django.apps import apps
from django.db import connections, router
from django.db.models import F
from django.utils.timezone import now

from celeriac.api import payload
from celeriac.errors import CeleriacError
from celeriac.schedules.convert import packed_policy, timing_json, zone_of
from celeriac.schedules.definition import Definition
from celeriac.schedules.sources import judged

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


def in_tables(app: Any) -> Iterator[Definition]:
    """Yield the schedules of the tables, each with what is wrong with it."""
    rows = apps.get_model(APP, "PeriodicTask").objects.select_related("interval", "crontab", "solar", "clocked")
    for row in rows.order_by("id").iterator(chunk_size=1000):
        yield judged(_defined(row, app), app)


def _defined(row: Any, app: Any) -> Definition:
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
    try:
        return one._replace(**_read(row, app))
    except (CeleriacError, ValueError, TypeError, AttributeError, OverflowError) as error:
        return one._replace(trouble=str(error) or type(error).__name__)


def _read(row: Any, app: Any) -> dict[str, Any]:
    if row.scheduler is None:
        raise ValueError("It has no schedule: choose an interval, a crontab, a solar event or a clocked time.")
    # The interval's own class, without the time zone that the crontab's has.
    zone = zone_of(row.crontab.timezone if row.crontab else app.timezone)
    given = timedelta(**{row.interval.period: row.interval.every}) if row.interval else row.schedule
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
    return {
        "timing": timing_json(given, app),
        "policy": packed_policy(said, zone),
        "args": payload.encode(args),
        "kwargs": payload.encode(_object(row.kwargs, "keyword arguments")),
        "options": payload.encode({**options, "headers": {**headers, "periodic_task_name": row.name}}),
    }


def _object(text: str | None, what: str) -> dict[str, Any]:
    found = json.loads(text or "{}")
    if not isinstance(found, dict):
        raise ValueError(f"Its {what} are no JSON object: {text}")  # noqa: TRY004
    return found


def note_fired(names: list[str], over: list[str]) -> None:
    """Tell the tables which schedules fired, as their admin shows it; those in *over* are done for good."""
    rows = apps.get_model(APP, "PeriodicTask").objects
    rows.filter(name__in=names).update(last_run_at=now(), total_run_count=F("total_run_count") + 1)
    if over:
        rows.filter(name__in=over).update(enabled=False)
