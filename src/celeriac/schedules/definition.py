"""A schedule as data: what any source says of it, as the row keeps it, and back to what `ticks` and `policies` take."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings as django_settings
from django.utils import timezone

from celeriac.api import payload
from celeriac.schedules.models import Schedule
from celeriac.schedules.policies import Policy
from celeriac.schedules.recurring import policy_of
from celeriac.schedules.ticks import Bounded, Clocked, Crontab, Days, Every, Solar, Timing
from celeriac.schedules.zones import DAY, reached, wall_at

#: What intervals are counted from where nothing else is known.
EPOCH = datetime.fromtimestamp(0, UTC)

__all__ = [
    "EPOCH",
    "Definition",
    "aware",
    "fields_of",
    "is_clocked",
    "is_due",
    "kept",
    "next_of",
    "policy",
    "skips",
    "stored",
    "timing",
]


class Definition(NamedTuple):
    """What a source says of one schedule; the fields are those of the row."""

    name: str
    source: str
    origin: str
    task: str
    args: str = "[]"
    kwargs: str = "{}"
    options: str = "{}"
    timing: str = "{}"
    policy: str = "{}"
    description: str = ""
    enabled: bool = True
    once: bool = False
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    trouble: str = ""

    @property
    def when(self) -> tuple[Any, ...]:
        """What decides when it is due."""
        return self.timing, self.enabled, self.once, self.starts_at, self.ends_at

    @property
    def is_broken(self) -> bool:
        """Whether its trouble is such that it can never fire."""
        return self.timing == "{}"


def aware(when: datetime) -> datetime:
    """Return a time as Django stores it as an instant in UTC."""
    if timezone.is_naive(when):
        # Not the zone that a request has activated: Django stores by the project's.
        when = timezone.make_aware(when, timezone.get_default_timezone())
    return when.astimezone(UTC)


def kept(instant: datetime) -> datetime:
    """Return an instant as Django stores times."""
    return instant if django_settings.USE_TZ else timezone.make_naive(instant, timezone.get_default_timezone())


def stored(instant: datetime | None) -> datetime | None:
    """Return the same of what may be None."""
    return None if instant is None else kept(instant)


# -- when it is due


def timing(row: Schedule | Definition, anchor: datetime | None = None) -> Timing:
    """Return when the schedule is due; *anchor* is what intervals of a definition without a row count from."""
    said = json.loads(row.timing)
    begun = aware(row.anchor) if isinstance(row, Schedule) else anchor
    start, end = (at and aware(at) for at in (row.starts_at, row.ends_at))
    found = _timing(said, start or begun or EPOCH)
    return found if start is None and end is None else Bounded(found, start, end)


def _timing(said: Mapping[str, Any], anchor: datetime) -> Timing:
    if "crontab" in said:
        fields = dict(zip(FIELDS, map(_numbers, said["crontab"]), strict=True))
        return Crontab(**fields, zone=ZoneInfo(said["zone"]))
    if "every" in said:
        interval = timedelta(seconds=said["every"])
        return _from_midnight(interval, anchor, ZoneInfo(said["zone"])) if "zone" in said else Every(interval, anchor)
    if "solar" in said:
        return Solar(said["solar"], said["latitude"], said["longitude"])
    return Clocked(datetime.fromisoformat(said["at"]))


def _from_midnight(interval: timedelta, anchor: datetime, zone: ZoneInfo) -> Timing:
    day = wall_at(anchor, zone).date()
    if interval % DAY:
        return Every(interval, reached(datetime.combine(day, time()), zone))
    return Days(interval // DAY, day, zone)


@lru_cache(1024)  # most fields of ten thousand crontabs are a few
def _numbers(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


#: Of each field of a crontab, in order: minute, hour, day of month, month, day of week.
FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


def fields_of(crontab: Any) -> list[str]:
    """Return the five fields of a crontab (Celery's, or ours) as lists of numbers and ranges, as rows keep them."""
    return [_ranges(sorted(getattr(crontab, name))) for name in FIELDS]


def _ranges(numbers: list[int]) -> str:
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def next_of(row: Schedule | Definition, after: datetime, anchor: datetime | None = None) -> datetime | None:
    """Return the first instant after *after* at which the schedule is due; None for never, or while it is disabled."""
    if not row.enabled or row.timing == "{}":
        return None
    return timing(row, anchor).after(after)


def is_due(row: Schedule, instant: datetime) -> bool:
    """Whether the schedule is due at *instant*, to the microsecond."""
    return timing(row).after(instant - timedelta.resolution) == instant


def is_clocked(row: Schedule | Definition) -> bool:
    """Whether it is due once, at a time that somebody chose."""
    return row.timing.startswith('{"at":')


# -- what becomes of it


def skips(row: Schedule) -> set[datetime]:
    """Return the instants that an operator took out."""
    return {datetime.fromisoformat(text) for text in json.loads(row.skips)}


def policy(row: Schedule | Definition) -> Policy:
    """Return the schedule's policy."""
    said = payload.decode(row.policy)
    zone = ZoneInfo(said.pop("zone", "UTC"))
    return policy_of(said, zone)
