"""What is said of a schedule, in English: when it is due, and what becomes of its ticks."""

import json
from datetime import datetime

from celeriac.errors import ConfigurationError
from celeriac.schedules.definition import policy
from celeriac.schedules.models import Schedule
from celeriac.schedules.policies import Blackout, Policy

__all__ = ["WHY_NOT", "in_words", "length_in_words", "policy_in_words", "window_in_words"]

#: Why a tick is no job, as `Coming.reason` and `Tick.reason` name it, in words.
WHY_NOT = {
    "asked": "taken out by hand",
    "blackout": "in a blackout",
    "misfire": "missed",
    "overlap": "an earlier job was open",
    "paused": "paused",
}


def in_words(row: Schedule) -> str:
    """Return when the schedule is due, in English."""
    said = json.loads(row.timing)
    if "crontab" in said:
        return f"{_crontab(said['crontab'])} ({said['zone']})"
    if "every" in said:
        return _every(said["every"])
    if "solar" in said:
        return f"At {said['solar'].replace('_', ' ')} at {said['latitude']:g}, {said['longitude']:g}"
    if "at" in said:
        return f"Once, at {datetime.fromisoformat(said['at']):%Y-%m-%d %H:%M:%S} UTC"
    return "Never"


def _crontab(fields: list[str]) -> str:
    from cron_descriptor import Options, get_description

    options = Options()
    options.use_24hour_time_format = True
    options.locale_code = "en_US"
    text: str = get_description(" ".join(_starred(fields)), options)
    return text


#: How many values each field of a crontab has.
_SIZES = (60, 24, 31, 12, 7)


def _starred(fields: list[str]) -> list[str]:
    """Return the fields as people write them: `*` for all of them, `*/5` for each fifth."""
    return [_star(text, size, int(size in (31, 12))) for text, size in zip(fields, _SIZES, strict=True)]


def _star(text: str, size: int, first: int) -> str:
    if text == f"{first}-{size - 1 + first}":
        return "*"
    numbers = text.split(",")
    if first == 0 and len(numbers) > 2 and all(number.isdigit() for number in numbers):
        step = int(numbers[1])
        if [int(number) for number in numbers] == list(range(0, size, step)) and size % step == 0:
            return f"*/{step}"
    return text


def _every(seconds: float) -> str:
    return f"Every {length_in_words(seconds).removeprefix('1 ')}"


def length_in_words(seconds: float) -> str:
    """Return a time as people say it: "5 minutes"."""
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds and seconds % size == 0:
            count = int(seconds // size)
            return f"{count:,} {name}{'s' if count != 1 else ''}"
    return f"{seconds:g} seconds"


# -- what becomes of its ticks

_OVERLAPS = {
    "skip": "no job while an earlier one is open",
    "queue_one": "while an earlier job is open, one more may wait for it",
    "cancel_running": "an earlier job that is open is cancelled",
}


def policy_in_words(row: Schedule) -> list[str]:
    """Return what is said of the schedule beside when it is due, in English; what is so anyway is not said."""
    try:
        said = policy(row)
    except (ValueError, LookupError, OSError, ConfigurationError) as error:
        return [f"cannot be read: {error}"]
    found = [_misfire(said), _OVERLAPS.get(said.overlap, "")]
    found.append(
        f"a job starts up to {length_in_words(said.jitter.total_seconds())} after its tick" if said.jitter else ""
    )
    found += [f"no job {window_in_words(window)}" for window in said.blackout]
    if said.within is not None:
        found.append(
            f"somebody is told when a job has not succeeded {length_in_words(said.within.total_seconds())} later"
        )
    return [text for text in found if text]


def _misfire(said: Policy) -> str:
    late = length_in_words(said.window.total_seconds()) if said.window is not None else ""
    match said.misfire:
        case "skip":
            return f"a tick that is more than {late or '60 seconds'} late is no job"
        case "all":
            return "each missed tick is made up for" + (f", up to {late} later" if late else "")
    return f"the last missed tick is made up for, up to {late} later" if late else ""


_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


def window_in_words(window: Blackout) -> str:
    """Return a window as people say it: "from 22:00 to 06:00 on Sat"."""
    if isinstance(window.start, datetime) and isinstance(window.end, datetime):
        return f"from {window.start.isoformat(' ', 'minutes')} to {window.end.isoformat(' ', 'minutes')}"
    days = "" if len(window.days) == len(_DAYS) else f" on {', '.join(_DAYS[day] for day in sorted(window.days))}"
    return f"from {window.start:%H:%M} to {window.end:%H:%M}{days}".replace("to 00:00", "to 24:00")
