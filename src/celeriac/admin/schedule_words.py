"""A schedule in words and times. What comes of one that makes no sense here is said in its place: the others show."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.utils.html import format_html
from django.utils.safestring import SafeString

from celeriac.schedules.definition import aware
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.policies import Blackout, Policy
from celeriac.schedules.preview import Coming, coming, in_words, is_overdue, zone_of_row
from celeriac.templatetags.celeriac_show import lasted

__all__ = ["Following", "exact", "following", "lateness", "policy_words", "reason_words", "why", "words", "zone"]

DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")

#: Why a tick is no job, by `Tick.reason` and `Coming.reason`.
REASONS = {
    "misfire": "missed: nobody was there to fire it",
    "overlap": "the job of an earlier tick was open",
    "blackout": "in a blackout",
    "asked": "taken out by an operator",
    "paused": "the schedule is paused",
}

KINDS = {"now": "by hand", "backfill": "by a backfill"}

TOLD = {
    "overdue": "its job has not succeeded in time",
    "dead": "its job is over without success",
}

MISFIRES = {
    "once": "one job for all that were missed",
    "all": "a job for each that was missed",
    "skip": "none is made up for",
}

OVERLAPS = {
    "allow": "another job beside it",
    "skip": "no job",
    "queue_one": "one job that waits for it, and no more",
    "cancel_running": "it is cancelled, and another job asked for",
}


class Following(NamedTuple):
    """The next ticks of a schedule, or why they cannot be told here."""

    ticks: list[Coming]
    problem: str = ""


def words(row: Schedule) -> str:
    """Return when the schedule is due, in English."""
    try:
        return in_words(row)
    except Exception as error:  # noqa: BLE001 - of one schedule; the others are shown
        return f"{type(error).__name__}: {error}"


def following(row: Schedule, count: int, now: datetime) -> Following:
    """Return the next *count* ticks, the one that is overdue first."""
    try:
        if is_overdue(row, now):
            assert row.next_tick is not None
            late = aware(row.next_tick)
            return Following([Coming(late, late.astimezone(zone(row)), "overdue"), *coming(row, count - 1, now)])
        return Following(coming(row, count, now))
    except Exception as error:  # noqa: BLE001 - such as a time zone that this machine does not have
        return Following([], f"{type(error).__name__}: {error}")


def zone(row: Schedule) -> ZoneInfo:
    """Return the schedule's time zone, or UTC where this machine does not have it."""
    try:
        return zone_of_row(row)
    except Exception:  # noqa: BLE001 - `following` says what is wrong
        return ZoneInfo("UTC")


def exact(instant: datetime | None, zone: ZoneInfo) -> SafeString:
    """Return an instant in local time; in UTC when pointed at."""
    if instant is None:
        return SafeString("-")
    at = aware(instant)
    local, utc = at.astimezone(zone), at.astimezone(UTC)
    shown = '<time datetime="{}" title="{} UTC">{}</time>'
    return format_html(shown, utc.isoformat(), f"{utc:%Y-%m-%d %H:%M:%S}", f"{local:%Y-%m-%d %H:%M:%S %Z}")


def reason_words(reason: str) -> str:
    """Return why a tick is no job."""
    return REASONS.get(reason, reason)


def lateness(tick: Tick) -> str:
    """Return how late a tick was seen to; nothing where that says nothing."""
    if tick.kind != "due" or tick.outcome == "skipped":
        return ""
    return lasted(tick.instant, max(tick.instant, tick.fired_at))


def why(tick: Tick) -> str:
    """Return what there is to say of a tick's outcome."""
    said = [KINDS.get(tick.kind, ""), reason_words(tick.reason), TOLD.get(tick.told, tick.told), tick.note]
    if tick.count > 1:
        said.append(f"the last of {tick.count:,} ticks that this row stands for")
    if tick.outcome == "sent":
        said.append("left to the broker, as its task says: there is no row to follow")
    return "; ".join(filter(None, said))


def policy_words(said: Policy) -> Iterator[tuple[str, str]]:
    """Yield (name, sentence) of what a policy comes to."""
    misfire = MISFIRES[said.misfire]
    if said.window is not None:
        misfire += f" ({'missed is what is' if said.misfire == 'skip' else 'none'} older than {_time(said.window)})"
    yield "Missed ticks", misfire
    yield "While a job is open", OVERLAPS[said.overlap]
    if said.jitter:
        yield "Jitter", f"jobs start up to {_time(said.jitter)} after their tick"
    if said.blackout:
        yield "Blackouts", "; ".join(_window(window, said.zone) for window in said.blackout)
    if said.within is not None:
        yield "Success within", f"{_time(said.within)}, or somebody is told"


def _time(length: timedelta) -> str:
    seconds = length.total_seconds()
    for name, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:g} {name}"
    return f"{seconds:g} s"


def _window(window: Blackout, zone: Any) -> str:
    if isinstance(window.start, datetime) and isinstance(window.end, datetime):
        return f"{window.start.astimezone(zone):%Y-%m-%d %H:%M} to {window.end.astimezone(zone):%Y-%m-%d %H:%M %Z}"
    end = "24:00" if not any((window.end.hour, window.end.minute, window.end.second)) else f"{window.end:%H:%M}"
    days = "" if len(window.days) == len(DAYS) else f"{', '.join(DAYS[day] for day in sorted(window.days))} "
    return f"{days}{window.start:%H:%M} to {end} ({zone})"
