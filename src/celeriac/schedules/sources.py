"""The schedules that a project's code names: `CELERY_BEAT_SCHEDULE`, and `schedule=` on its tasks.

What is wrong with one is written into its definition: it does not fire, the listing says why, and the others do.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from celery.beat import BeatLazyFunc, ScheduleEntry
from django.db import DatabaseError

from celeriac.api import payload
from celeriac.schedules.convert import packed_policy, policies, timing_json, zone_for
from celeriac.schedules.definition import Definition, aware, is_clocked, kept, next_of
from celeriac.schedules.recurring import Recurring

__all__ = ["CODE", "LONGEST", "attempted", "in_code", "judged", "lazy_arguments"]

#: The sources that are code, as `Schedule.source` names them: `CELERY_BEAT_SCHEDULE`, and tasks.
CODE = ("settings", "task")

#: An instant to begin at when looking whether there is any.
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)

#: As `Schedule.name` and `Schedule.task` hold.
LONGEST = 200
LONGEST_TASK = 255

#: Keys of an entry of `CELERY_BEAT_SCHEDULE`: Celery's, and those that django-celery-beat's scheduler takes as well.
_ENTRY = {"task", "schedule", "args", "kwargs", "options", "relative"}
_FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "description": ("description", str),
    "one_off": ("once", bool),
    "start_time": ("starts_at", lambda when: kept(aware(when))),
    "expires": ("ends_at", lambda when: kept(aware(when))),
}


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
    if not isinstance(entries, Mapping):
        yield _blank(app, "CELERY_BEAT_SCHEDULE")._replace(trouble="CELERY_BEAT_SCHEDULE is no dict.")
        return
    for name, entry in entries.items():
        yield judged(attempted(_blank(app, str(name)), _entry, app, entry), app)


def _blank(app: Any, name: str) -> Definition:
    return Definition(name=name, source="settings", origin=str(app.main or ""), task="")


def attempted(one: Definition, read: Callable[..., Definition], *args: Any) -> Definition:
    """Return what *read* makes of *one*, or *one* with the reason why it cannot be read."""
    try:
        return read(one, *args)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001 - anything that somebody wrote, of one entry; the others are read
        return one._replace(trouble=str(error) or type(error).__name__)


def _entry(one: Definition, app: Any, entry: Any) -> Definition:
    entry = _as_dict(entry)
    if not isinstance(entry, Mapping) or "task" not in entry or "schedule" not in entry:
        return one._replace(trouble="An entry is a dict with at least 'task' and 'schedule'.")
    one = one._replace(task=str(entry["task"]))
    known = {*_ENTRY, *_FIELDS}
    if unknown := sorted(str(key) for key in set(entry) - known):
        return one._replace(trouble=f"An entry has no {unknown[0]!r}; it takes {', '.join(sorted(known))}.")
    more = [(field, read(entry[key])) for key, (field, read) in _FIELDS.items() if entry.get(key) is not None]
    return _defined(one._replace(**dict(more)), app, _said(entry), relative=bool(entry.get("relative")))


def _as_dict(entry: Any) -> Any:
    if isinstance(entry, ScheduleEntry):
        return {key: getattr(entry, key) for key in ("task", "schedule", "args", "kwargs", "options")}
    return entry


def _said(entry: Mapping[str, Any]) -> Recurring:
    given = {key: entry[key] for key in ("args", "kwargs", "options") if entry.get(key) is not None}
    return replace(_recurring(entry["schedule"]), **given)


def _of_tasks(app: Any) -> Iterator[Definition]:
    for blank, said in _tasks_schedules(app):
        yield judged(attempted(blank, _defined, app, said), app)


def _tasks_schedules(app: Any) -> Iterator[tuple[Definition, Recurring]]:
    for task in sorted(app.tasks.values(), key=lambda task: str(task.name)):
        if getattr(task, "schedule", None) is not None:
            said = _recurring(task.schedule)
            yield Definition(str(said.name or task.name), "task", str(app.main or ""), task.name), said


def _recurring(given: Any) -> Recurring:
    return given if isinstance(given, Recurring) else Recurring(given)


def _defined(one: Definition, app: Any, said: Recurring, *, relative: bool = False) -> Definition:
    args, kwargs, options = said.args, said.kwargs, dict(said.options)
    if "expire_seconds" in options:  # as django-celery-beat's scheduler calls it
        options.setdefault("expires", options.pop("expire_seconds"))
    if _is_lazy(args, kwargs):
        options["lazy"] = True
        args, kwargs = (), {}
    return one._replace(
        timing=timing_json(said.schedule, app, relative=relative),
        policy=packed_policy(policies(said), zone_for(said.schedule, app)),
        args=payload.encode(list(args)),
        kwargs=payload.encode(dict(kwargs)),
        options=payload.encode(options),
    )


def _is_lazy(args: Any, kwargs: Any) -> bool:
    return any(isinstance(value, BeatLazyFunc) for value in (*args, *kwargs.values()))


def lazy_arguments(app: Any, name: str) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a schedule that has some to be computed at each tick (Celery's `BeatLazyFunc`).

    Raises:
        LookupError: when the code that this scheduler runs has no such schedule.
    """
    entry = _as_dict((app.conf.beat_schedule or {}).get(name))
    if entry is not None:
        said = _said(entry)
    else:
        named = {one.name: said for one, said in _tasks_schedules(app)}
        if name not in named:
            raise LookupError(f"The arguments of {name!r} are computed where it is defined, and that is not here.")
        said = named[name]
    return [_value(part) for part in said.args], {key: _value(part) for key, part in said.kwargs.items()}


def _value(part: Any) -> Any:
    return part() if isinstance(part, BeatLazyFunc) else part


def judged(one: Definition, app: Any) -> Definition:
    """Return *one* with what is wrong with it that its source could not know."""
    one = _fitted(one)
    if not one.trouble:
        one = attempted(one, _ever_due)
    if one.trouble:
        return one._replace(trouble=one.trouble.replace("\0", "?"), timing="{}")
    if one.task not in app.tasks:
        return one._replace(
            trouble=f"No task {one.task!r} is registered: its jobs will wait for a worker that knows it."
        )
    return one


def _fitted(one: Definition) -> Definition:
    """Return *one* with a name and a task that the row can hold."""
    for field, most in (("name", LONGEST), ("task", LONGEST_TASK)):
        text = getattr(one, field)
        if len(text) > most:
            one = one._replace(trouble=f"Its {field} is longer than {most} characters: {text[:40]}…")
        elif "\0" in text:
            one = one._replace(trouble=f"Its {field} has a NUL in it.")
        one = one._replace(**{field: text[:most].replace("\0", "?")})
    return one


@lru_cache(1000)
def _is_ever_due(timing: str) -> bool:
    return next_of(Definition("", "", "", "", timing=timing), _EPOCH) is not None


def _ever_due(one: Definition) -> Definition:
    try:
        if not is_clocked(one) and not _is_ever_due(one.timing):
            return one._replace(trouble="It is never due: no day is such a day.")
    except ImportError:
        return one._replace(trouble="Solar schedules need PyEphem: pip install celeriac[solar].")
    return one


def _noted(one: Definition, note: str) -> Definition:
    return one._replace(trouble=f"{one.trouble} {note}".strip())
