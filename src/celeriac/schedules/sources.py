"""The schedules that a project's code names: `CELERY_BEAT_SCHEDULE`, and `schedule=` on its tasks.

What is wrong with one is written into its definition: it does not fire, the listing says why, and the others do.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from celery.beat import BeatLazyFunc

from celeriac.api import payload
from celeriac.errors import CeleriacError
from celeriac.schedules.convert import packed_policy, policies, timing_json, zone_of
from celeriac.schedules.definition import Definition, next_of
from celeriac.schedules.recurring import Recurring

__all__ = ["CODE", "LONGEST", "in_code", "judged", "lazy_arguments"]

#: The sources that are code, as `Schedule.source` names them: `CELERY_BEAT_SCHEDULE`, and tasks.
CODE = ("settings", "task")

#: An instant to begin at when looking whether there is any.
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)

#: As `Schedule.name` holds.
LONGEST = 200

#: Keys of an entry of `CELERY_BEAT_SCHEDULE`.
_ENTRY = {"task", "schedule", "args", "kwargs", "options", "relative"}


def in_code(app: Any) -> list[Definition]:
    """Return the schedules of *app*'s settings and tasks, by name; of two with one name the settings' counts."""
    found: dict[str, Definition] = {}
    for one in (*_of_settings(app), *_of_tasks(app)):
        if one.name in found:
            note = f"A task has a schedule of the same name, which is left out: {one.task}."
            found[one.name] = _noted(found[one.name], note)
        else:
            found[one.name] = one
    return list(found.values())


def _of_settings(app: Any) -> Iterator[Definition]:
    entries = app.conf.beat_schedule or {}
    for name, entry in entries.items():
        yield judged(_entry(app, str(name), entry), app)


def _entry(app: Any, name: str, entry: Any) -> Definition:
    one = Definition(name=name, source="settings", origin=str(app.main or ""), task="")
    if not isinstance(entry, Mapping) or "task" not in entry or "schedule" not in entry:
        return one._replace(trouble="An entry is a dict with at least 'task' and 'schedule'.")
    one = one._replace(task=str(entry["task"]))
    if unknown := sorted(set(entry) - _ENTRY):
        return one._replace(trouble=f"An entry has no {unknown[0]!r}; it takes {', '.join(sorted(_ENTRY))}.")
    given = {key: entry[key] for key in ("args", "kwargs", "options") if entry.get(key) is not None}
    return _defined(app, one, replace(_recurring(entry["schedule"]), **given), relative=bool(entry.get("relative")))


def _of_tasks(app: Any) -> Iterator[Definition]:
    for task in sorted(app.tasks.values(), key=lambda task: str(task.name)):
        if getattr(task, "schedule", None) is not None:
            said = _recurring(task.schedule)
            one = Definition(said.name or task.name, "task", str(app.main or ""), task.name)
            yield judged(_defined(app, one, said), app)


def _recurring(given: Any) -> Recurring:
    return given if isinstance(given, Recurring) else Recurring(given)


def _defined(app: Any, one: Definition, said: Recurring, *, relative: bool = False) -> Definition:
    try:
        args, kwargs, options = said.args, said.kwargs, dict(said.options)
        if _is_lazy(args, kwargs):
            options["lazy"] = True
            args, kwargs = (), {}
        return one._replace(
            timing=timing_json(said.schedule, app, relative=relative),
            policy=packed_policy(policies(said), zone_of(getattr(said.schedule, "tz", None) or app.timezone)),
            args=payload.encode(list(args)),
            kwargs=payload.encode(dict(kwargs)),
            options=payload.encode(options),
        )
    except (CeleriacError, ValueError, TypeError) as error:
        return one._replace(trouble=str(error))


def _is_lazy(args: Any, kwargs: Any) -> bool:
    return any(isinstance(value, BeatLazyFunc) for value in (*args, *kwargs.values()))


def lazy_arguments(app: Any, name: str) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of an entry that has some to be computed at each tick (Celery's `BeatLazyFunc`).

    Raises:
        LookupError: when this worker's settings have no such entry.
    """
    entry = (app.conf.beat_schedule or {}).get(name)
    if entry is None:
        raise LookupError(f"The arguments of {name!r} are computed by its entry in the settings, and there is none.")
    values = [value() if isinstance(value, BeatLazyFunc) else value for value in entry.get("args") or ()]
    named = (entry.get("kwargs") or {}).items()
    return values, {key: value() if isinstance(value, BeatLazyFunc) else value for key, value in named}


def judged(one: Definition, app: Any) -> Definition:
    """Return *one* with what is wrong with it that its source could not know."""
    if len(one.name) > LONGEST:
        note = f"Its name is longer than {LONGEST} characters: {one.name[:40]}…"
        return one._replace(name=one.name[:LONGEST], trouble=note, timing="{}")
    if one.trouble:
        return one._replace(timing="{}")
    try:
        if not one.once and one.ends_at is None and next_of(one._replace(enabled=True), _EPOCH) is None:
            return one._replace(trouble="It is never due: no day is such a day.", timing="{}")
    except ImportError:
        return one._replace(trouble="Solar schedules need PyEphem: pip install celeriac[solar].", timing="{}")
    if one.task not in app.tasks:
        return one._replace(
            trouble=f"No task {one.task!r} is registered: its jobs will wait for a worker that knows it."
        )
    return one


def _noted(one: Definition, note: str) -> Definition:
    return one._replace(trouble=f"{one.trouble} {note}".strip())
