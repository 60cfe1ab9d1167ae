"""What the page of one schedule tells: how it is defined and where, its next ticks, its last ones, and who did what."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.apps import apps
from django.urls import NoReverseMatch, reverse
from django.utils.safestring import SafeString

from celeriac.admin.schedule_words import (
    Following,
    exact,
    following,
    lateness,
    policy_words,
    reason_words,
    why,
    words,
    zone,
)
from celeriac.api import payload
from celeriac.ledger.audit import Action
from celeriac.ledger.database import alias_of, clock
from celeriac.ledger.models import Job
from celeriac.schedules.definition import policy
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.policies import Policy
from celeriac.schedules.preview import standing
from celeriac.templatetags.celeriac_show import pretty

__all__ = ["Past", "history", "story_of"]

#: Of ticks to come, of ticks that were, and of what people did.
NEXT, MOST, DEEDS = 10, 50, 10

BEAT = "django_celery_beat"


class Next(NamedTuple):
    """A tick to come, as the page has it."""

    instant: datetime
    local: str
    utc: str
    reason: str  # asked, blackout, paused, overdue
    words: str


class Past(NamedTuple):
    """A tick that was, as pages have it; *job* is there as long as its row is."""

    tick: Tick
    local: SafeString
    late: str
    why: str
    job: Job | None

    @property
    def outcome(self) -> str:
        """What came of it: while its job is open, the job's state."""
        return self.job.state if self.job is not None and self.tick.outcome == "fired" else self.tick.outcome


def story_of(row: Schedule) -> dict[str, Any]:
    """Return the context of the page of *row*."""
    alias, now, local = alias_of(), clock(), zone(row)
    ahead = following(row, NEXT, now)
    ticks = list(Tick.objects.using(alias).filter(schedule=row.name).order_by("-instant")[: MOST + 1])
    deeds = Action.objects.using(alias).filter(schedule=row.name).order_by("-created_at")[:DEEDS] if row.name else ()
    said = _policy(row)
    where, address = _where(row)
    return {
        "schedule": row,
        "standing": standing(row, now),
        "words": words(row),
        "zone": local,
        "where": where,
        "address": address,
        "policies": list(policy_words(said)) if said else [],
        "starts": row.starts_at and exact(row.starts_at, local),
        "ends": row.ends_at and exact(row.ends_at, local),
        "texts": _texts(row),
        "computed": _decoded(row.options).get("lazy", False),
        "following": _told(ahead),
        "problem": ahead.problem or ("" if said else "Its policies cannot be read here."),
        "next": _next_to_skip(ahead),
        "history": history(ticks[:MOST], local),
        "more": len(ticks) > MOST,
        "most": MOST,
        "deeds": list(deeds),
    }


def _told(ahead: Following) -> list[Next]:
    return [
        Next(
            one.instant,
            f"{one.local:%a %Y-%m-%d %H:%M:%S %Z}",
            f"{one.instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            one.reason,
            reason_words(one.reason),
        )
        for one in ahead.ticks
    ]


def _next_to_skip(ahead: Following) -> datetime | None:
    """Return the next tick that would be a job, were the schedule not paused."""
    return next((one.instant for one in ahead.ticks if one.reason in {"", "paused"}), None)


def history(ticks: Iterable[Tick], local: Any) -> list[Past]:
    """Return ticks as pages have them, with their jobs."""
    ticks = list(ticks)
    jobs = jobs_of(tick.job for tick in ticks)
    return [Past(tick, exact(tick.instant, local), lateness(tick), why(tick), jobs.get(tick.job)) for tick in ticks]


def jobs_of(ids: Iterable[UUID | None]) -> dict[UUID | None, Job]:
    """Return those jobs that have a row (still), by id."""
    wanted = [id_ for id_ in ids if id_ is not None]
    return dict(Job.objects.using(alias_of()).only("id", "task", "state").in_bulk(wanted)) if wanted else {}


def _policy(row: Schedule) -> Policy | None:
    try:
        return policy(row)
    except Exception:  # noqa: BLE001 - the page says that it cannot be read, and the rest of it
        return None


def _decoded(text: str) -> dict[str, Any]:
    try:
        found = payload.decode(text)
    except Exception:  # noqa: BLE001 - shown as it is
        return {}
    return found if isinstance(found, dict) else {}


def _texts(row: Schedule) -> list[tuple[str, str]]:
    all_ = [
        ("Positional arguments", pretty(row.args)),
        ("Keyword arguments", pretty(row.kwargs)),
        ("Options", pretty(_options(row))),
    ]
    return [(title, text) for title, text in all_ if text and text not in {"[]", "{}"}]


def _options(row: Schedule) -> str:
    """Return the options without what Celeriac notes among them."""
    try:
        said = json.loads(row.options)
    except ValueError:
        return row.options
    if not isinstance(said, dict):
        return row.options
    said.pop("lazy", None)
    headers = said.get("headers")
    if isinstance(headers, dict) and headers.get("periodic_task_name") == row.name:
        said["headers"] = {name: value for name, value in headers.items() if name != "periodic_task_name"}
        if not said["headers"]:
            del said["headers"]
    return json.dumps(said)


def _where(row: Schedule) -> tuple[str, str]:
    """Return where the schedule is defined and changed, in words, and the address of that, if it has one."""
    address = _in_beat(row.name)
    app = f" of the app {row.origin}" if row.origin else ""
    if row.source == "table":
        return "in the tables of django-celery-beat; what is changed there holds within 5 s", address
    where = f"in {'CELERY_BEAT_SCHEDULE' if row.source == 'settings' else 'the code of its task'}{app}"
    also = "; django-celery-beat's row of its name switches it on and off" if address else ""
    return f"{where}; what is changed there holds when a worker has started{also}", address


def _in_beat(name: str) -> str:
    """Return the address of django-celery-beat's form of the schedule of this name; empty where there is none."""
    if not apps.is_installed(BEAT):
        return ""
    id_ = apps.get_model(BEAT, "PeriodicTask").objects.filter(name=name).values_list("pk", flat=True).first()
    try:
        return "" if id_ is None else reverse(f"admin:{BEAT}_periodictask_change", args=[id_])
    except NoReverseMatch:  # their admin may be taken off
        return ""
