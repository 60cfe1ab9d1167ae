"""A schedule in words and times. What comes of one that makes no sense here is said in its place: the others show."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.utils.html import format_html
from django.utils.safestring import SafeString

from celeriac.schedules.definition import aware, policy, timing
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.policies import Policy
from celeriac.schedules.preview import Coming, coming, in_words, is_overdue, zone_of_row
from celeriac.schedules.words import WHY_NOT, length_in_words, window_in_words
from celeriac.templatetags.celeriac_show import lasted

__all__ = ["Following", "exact", "following", "lateness", "policy_words", "reason_words", "why", "words", "zone"]

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
        timing(row), policy(row), zone_of_row(row)
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
    return WHY_NOT.get(reason, reason)


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
        what = "missed is what is" if said.misfire == "skip" else "none"
        misfire += f" ({what} older than {length_in_words(said.window.total_seconds())})"
    yield "Missed ticks", misfire
    yield "While a job is open", OVERLAPS[said.overlap]
    if said.jitter:
        yield "Jitter", f"jobs start up to {length_in_words(said.jitter.total_seconds())} after their tick"
    if said.blackout:
        yield "Blackouts", f"{'; '.join(map(window_in_words, said.blackout))} ({said.zone})"
    if said.within is not None:
        yield "Success within", f"{length_in_words(said.within.total_seconds())}, or somebody is told"
