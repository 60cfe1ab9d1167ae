"""From what Celery and its users call a schedule to ours."""

import json
from collections.abc import Mapping
from datetime import time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from celery.schedules import BaseSchedule, crontab, schedule, solar
from tzlocal import get_localzone_name

from celeriac.api import payload
from celeriac.errors import ConfigurationError
from celeriac.schedules.definition import aware, fields_of
from celeriac.schedules.recurring import POLICIES, Recurring, delta, policy_of

__all__ = ["SHORTEST", "packed_policy", "policies", "timing_json", "zone_for", "zone_of"]

#: Workers look each second: what is due more often than that is no schedule but a loop.
SHORTEST = timedelta(seconds=1)

#: Intervals that a clock tells, also on a day when it is set.
_ON_THE_CLOCK = {timedelta(minutes=n): {"minute": f"*/{n}"} for n in range(1, 60) if 60 % n == 0} | {
    timedelta(hours=n): {"minute": "0", "hour": f"*/{n}"} for n in range(1, 24) if 24 % n == 0
}


def policies(said: Recurring) -> dict[str, Any]:
    """Return what is said of policies, without what is so anyway."""
    nothing = Recurring(None)
    given = {name: getattr(said, name) for name in POLICIES}
    return {name: value for name, value in given.items() if value != getattr(nothing, name)}


def timing_json(given: Any, app: Any, *, relative: bool = False) -> str:
    """Return *given*, as Celery takes it, in the form that the row keeps.

    Raises:
        ConfigurationError: when it is none, is due more than once a second, or is one whose times cannot be told.
    """
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = delta(given)
    if isinstance(given, timedelta):
        given = schedule(given, relative, app=app)
    if not isinstance(given, BaseSchedule):
        raise ConfigurationError(f"{given!r} is no schedule: say a crontab, a timedelta, or a number of seconds.")
    if getattr(given, "_app", None) is None:
        given.app = app
    return json.dumps(_said(given, app), separators=(",", ":"))


def _said(given: BaseSchedule, app: Any) -> dict[str, Any]:
    if isinstance(given, crontab) and _is_plain(given, crontab):
        return {"crontab": fields_of(given), "zone": zone_for(given, app)}
    if isinstance(given, solar) and _is_plain(given, solar):
        return {"solar": given.event, "latitude": float(given.lat), "longitude": float(given.lon)}
    if hasattr(given, "clocked_time"):
        return {"at": aware(given.clocked_time).isoformat()}
    if isinstance(given, schedule) and _is_plain(given, schedule):
        every: timedelta = given.run_every or timedelta()
        if every < SHORTEST:
            raise ConfigurationError(f"It would be due each {every.total_seconds():g} s; once a second is the most.")
        return _relative(every, zone_for(given, app)) if given.relative else {"every": every.total_seconds()}
    raise ConfigurationError(
        f"{type(given).__module__}.{type(given).__name__} computes its own times, relative to its last run, so no two "
        "schedulers would agree on them. Use a crontab, an interval, or a solar schedule."
    )


def _relative(every: timedelta, zone: str) -> dict[str, Any]:
    """Return what Celery's `relative` comes to: each hour on the hour, each day at midnight."""
    if every in _ON_THE_CLOCK:
        return {"crontab": fields_of(crontab(**_ON_THE_CLOCK[every])), "zone": zone}
    return {"every": every.total_seconds(), "zone": zone}


#: What says when a schedule of Celery's is due.
_TIMES = ("is_due", "remaining_estimate", "remaining_delta")


def _is_plain(given: BaseSchedule, cls: type[BaseSchedule]) -> bool:
    """Whether *given* is due when its class says, and not when a subclass of a project's own does."""
    kind = type(given)
    if kind.__module__.startswith("django_celery_beat."):
        return True  # its crontab differs by its time zone alone
    return all(getattr(kind, name, None) is getattr(cls, name, None) for name in _TIMES)


def zone_for(given: Any, app: Any) -> str:
    """Return the name of the time zone of a schedule: its own, or its app's.

    Raises:
        ConfigurationError: when there is no such zone.
    """
    if isinstance(given, BaseSchedule) and "tz" in vars(given):
        return zone_of(given.tz)
    try:
        return zone_of(app.timezone)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigurationError(f"There is no time zone {app.conf.timezone!r} (CELERY_TIMEZONE).") from error


def zone_of(tz: Any) -> str:
    """Return the name of a time zone.

    Raises:
        ConfigurationError: when the time zone database has no such zone.
    """
    name = getattr(tz, "key", None) or getattr(tz, "zone", None)
    if name is None:
        # Celery's own for CELERY_ENABLE_UTC = False is the machine's; datetime's UTC has no key.
        name = "UTC" if str(tz) in {"UTC", "UTC+00:00"} else (str(tz) if isinstance(tz, str) else get_localzone_name())
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise ConfigurationError(f"There is no time zone {name!r}.") from error
    return str(name)


def packed_policy(said: Mapping[str, Any], zone: str) -> str:
    """Return policies as the row keeps them, if they make sense.

    Raises:
        ConfigurationError: when they do not.
    """
    policy_of(said, ZoneInfo(zone))
    plain = {name: _plain(value) for name, value in said.items()}
    if "blackout" in said:
        plain["blackout"] = [[_plain(part) for part in window] for window in said["blackout"]]
    return payload.encode({**plain, "zone": zone}) if plain else "{}"


def _plain(part: Any) -> Any:
    if isinstance(part, timedelta):
        return part.total_seconds()
    return part.isoformat() if isinstance(part, time) else part
