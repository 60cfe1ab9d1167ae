"""What people are shown of a schedule: in words, and its next ticks."""

import json
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.utils import timezone

from celeriac.schedules.definition import aware, policy, timing
from celeriac.schedules.models import Schedule
from celeriac.schedules.ticks import upcoming

__all__ = ["Coming", "coming", "in_words", "is_overdue", "standing", "zone_of_row"]

#: A schedule is overdue when nobody has seen to its tick for so many seconds: somebody who leads is missing.
OVERDUE = 60.0


class Coming(NamedTuple):
    """A tick to come; *reason* says why it will be no job: asked, blackout, paused."""

    instant: datetime
    local: datetime
    reason: str = ""


def zone_of_row(row: Schedule) -> ZoneInfo:
    """Return the time zone that the schedule is said in, or else Django's."""
    said = json.loads(row.timing)
    return ZoneInfo(said.get("zone") or timezone.get_default_timezone_name())


def coming(row: Schedule, count: int, now: datetime) -> list[Coming]:
    """Return the next *count* ticks after *now*, as far as there are any."""
    if row.next_tick is None or row.timing == "{}":
        return []
    zone, said = zone_of_row(row), policy(row)
    skips = {datetime.fromisoformat(text) for text in json.loads(row.skips)}
    found: list[Coming] = []
    for instant in upcoming(timing(row), aware(now)):
        if len(found) == count or (row.once and found):
            break
        reason = "asked" if instant in skips else ""
        if not reason and said.covers(instant):
            reason = "blackout"
        if not reason and row.paused_at is not None:
            reason = "paused"
        found.append(Coming(instant, instant.astimezone(zone), reason))
    return found


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
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds % size == 0:
            count = int(seconds // size)
            return f"Every {name}" if count == 1 else f"Every {count:,} {name}s"
    return "Every second" if seconds == 1 else f"Every {seconds:g} seconds"


def is_overdue(row: Schedule, now: datetime) -> bool:
    """Whether a tick is due that nobody has seen to."""
    return row.next_tick is not None and row.paused_at is None and (now - row.next_tick).total_seconds() > OVERDUE


def standing(row: Schedule, now: datetime) -> str:
    """Return in one word how the schedule stands: on, paused, off, over, overdue, broken."""
    if row.paused_at is not None:
        return "paused"
    if not row.enabled:
        return "off"
    if row.next_tick is None:
        return "broken" if row.trouble else "over"
    return "overdue" if is_overdue(row, now) else "on"


def as_json(row: Schedule, now: datetime) -> dict[str, Any]:
    """Return what a program is told of the schedule, with keys that stay."""
    following = coming(row, 1, now)
    return {
        "name": row.name,
        "source": row.source,
        "task": row.task,
        "standing": standing(row, now),
        "schedule": in_words(row),
        "next": following[0].instant.isoformat() if following else None,
        "last": row.last_tick and aware(row.last_tick).isoformat(),
        "trouble": row.trouble,
    }
