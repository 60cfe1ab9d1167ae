"""What a project writes where it wants more of a schedule than when: `Recurring(crontab(hour=2), overlap="skip")`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from celeriac.errors import ConfigurationError
from celeriac.schedules.policies import Blackout, Policy

__all__ = ["POLICIES", "Recurring", "delta", "policy_of"]

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True)
class Recurring:
    """A schedule and its policies, for `CELERY_BEAT_SCHEDULE` and `@shared_task(schedule=...)`.

    Attributes:
        schedule: a crontab, solar, timedelta or number of seconds, as Celery takes it.
        args: positional arguments of each job; of a task's own schedule.
        kwargs: keyword arguments of each job; of a task's own schedule.
        options: as `apply_async` takes them; of a task's own schedule.
        misfire: of ticks missed while nothing ran: "once" (default) makes one job of them, "all" one of each, "skip"
            none.
        window: how old a missed tick may be to be made up for (seconds or a timedelta; None: any age). With "skip" how
            late a tick may be (60 s).
        overlap: of a tick while a job of the schedule is open: "allow" (default), "skip", "queue_one",
            "cancel_running".
        jitter: jobs start up to so much later than their tick (seconds or a timedelta).
        blackout: windows without jobs: ("22:00", "06:00"), ("sat", "00:00", "24:00"), or two datetimes.
        within: `schedule_missed` is sent for a tick whose job has not succeeded after so long (seconds or a timedelta).
        name: of a task's own schedule; the task's name.
    """

    schedule: Any
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    misfire: str = "once"
    window: float | timedelta | None = None
    overlap: str = "allow"
    jitter: float | timedelta = 0.0
    blackout: Iterable[Sequence[Any]] = ()
    within: float | timedelta | None = None
    name: str = ""


#: What of a `Recurring` is its policy; also what the headers of a PeriodicTask may say, under "celeriac".
POLICIES = ("misfire", "window", "overlap", "jitter", "blackout", "within")


def policy_of(given: Mapping[str, Any], zone: ZoneInfo) -> Policy:
    """Return the policy that *given* names, times as numbers of seconds, timedeltas or "HH:MM".

    Raises:
        ConfigurationError: for a name or a value that is none.
    """
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"Policies are a dict, as {{'overlap': 'skip'}}, not {given!r}.")
    unknown = sorted(set(given) - set(POLICIES))
    if unknown:
        raise ConfigurationError(f"A schedule has no policy {unknown[0]!r}; they are {', '.join(POLICIES)}.")
    said: dict[str, Any] = {name: given[name] for name in ("misfire", "overlap") if name in given}
    said |= {name: delta(given[name]) for name in ("window", "jitter", "within") if given.get(name) is not None}
    try:
        blackout = tuple(_blackout(window) for window in given.get("blackout", ()))
        return Policy(**said, blackout=blackout, zone=zone)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(str(error)) from error


def delta(value: Any) -> timedelta:
    """Return a time that is a number of seconds, or a timedelta already.

    Raises:
        ConfigurationError: when it is neither, or longer than any.
    """
    if isinstance(value, timedelta):
        return value
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return timedelta(seconds=value)
    except (ValueError, OverflowError):
        pass  # not a number, or more than there is: no time either
    raise ConfigurationError(f"A time is a number of seconds or a timedelta, not {value!r}.")


def _blackout(given: Any) -> Blackout:
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) < 2:
        raise ValueError(f"Blackouts are a list of windows, as [('22:00', '06:00')]; {given!r} is none.")
    *days, start, end = given
    if isinstance(start, datetime) or isinstance(end, datetime):
        if days or not all(isinstance(at, datetime) and at.tzinfo for at in (start, end)) or start >= end:
            raise ValueError(f"A blackout is between two aware datetimes or two wall times, not {given!r}.")
        return Blackout(start, end)
    # To the end of a day is to the first moment of the next.
    end = time() if end == "24:00" else _time(end)
    return Blackout(_time(start), end, frozenset(map(_day, days)) if days else frozenset(range(7)))


def _day(name: Any) -> int:
    short = str(name).lower()[:3]
    if short not in _DAYS:
        raise ValueError(f"{name!r} is no day of the week; they are {', '.join(_DAYS)}.")
    return _DAYS.index(short)


def _time(given: Any) -> time:
    try:
        found = given if isinstance(given, time) else time.fromisoformat(given)
    except (ValueError, TypeError):
        found = None
    if found is None or found.tzinfo is not None:
        raise ValueError(f"{given!r} is no time of day, as '22:00'.")
    return found
