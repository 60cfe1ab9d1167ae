"""What the page of one job tells: its call, its attempts, its effects, whom it waits for, and what was done to it."""

import json
from typing import Any
from uuid import UUID

from celeriac.ledger.audit import Change
from celeriac.ledger.database import alias_of
from celeriac.ledger.models import Attempt, Edge, Effect, Job, Worker
from celeriac.ledger.operators import VERBS
from celeriac.ledger.states import OPEN, State
from celeriac.templatetags.celeriac_show import lasted, pretty

__all__ = ["differences", "story_of"]

#: Of each kind the latest so many; a chord may have thousands of headers, a job of many retries as many attempts.
MOST = 50


def story_of(job: Job) -> dict[str, Any]:
    """Return the context of the page of *job*."""
    alias = alias_of()
    attempts = list(Attempt.objects.using(alias).filter(job_id=job.id).order_by("-id")[: MOST + 1])
    edges = Edge.objects.using(alias)
    effects = Effect.objects.using(alias).filter(job_id=job.id).order_by("id")[:MOST]
    changes = Change.objects.using(alias).filter(job_id=job.id).select_related("action").order_by("-id")[:MOST]
    return {
        "job": job,
        "verbs": [name for name, verb in VERBS.items() if job.state in {*verb.states, *verb.others}],
        "may_be_forced": job.state == State.SUCCEEDED,
        "may_be_edited": job.state not in OPEN,
        "worker": Worker.objects.using(alias).filter(id=job.worker).first() if job.worker else None,
        "texts": _texts(job),
        "attempts": [(attempt, lasted(attempt.started_at, attempt.finished_at)) for attempt in attempts[:MOST]],
        "more_attempts": len(attempts) > MOST,
        "effects": [(effect, pretty(effect.result)) for effect in effects],
        "edges": [
            ("It waits for", _others(edges.filter(child_id=job.id), "parent", alias)),
            ("They wait for it", _others(edges.filter(parent=job.id), "child_id", alias)),
        ],
        "changes": [(change, differences(change.diff)) for change in changes],
        "tick": _tick_of(job),
        "took": lasted(job.started_at, job.finished_at),
        "most": MOST,
        "selection": json.dumps({"ids": [str(job.id)]}),
    }


def _texts(job: Job) -> list[tuple[str, str, bool]]:
    """Return (title, text, whether it is open from the start) of what is kept as JSON."""
    all_ = [
        ("Positional arguments", pretty(job.args), True),
        ("Keyword arguments", pretty(job.kwargs), True),
        ("Error", pretty(job.error), False),
        ("Result", pretty(job.result), True),
        ("Progress", pretty(job.progress), True),
        ("Headers", pretty(job.headers), False),
    ]
    return [(title, text, opened) for title, text, opened in all_ if text and text not in {"[]", "{}"}]


def _tick_of(job: Job) -> tuple[str, str] | None:
    """Return (schedule, instant) of the tick that asked for the job."""
    try:
        headers = json.loads(job.headers)["headers"]
        found = headers["celeriac_schedule"], headers["celeriac_tick"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if all(isinstance(part, str) for part in found) else None


def _others(edges: Any, end: str, alias: str) -> list[tuple[UUID, Job | None]]:
    """Return jobs at the other *end* of edges, by id; None where there is no such row (any more, or yet)."""
    ids = list(edges.order_by("position").values_list(end, flat=True)[:MOST])
    found = Job.objects.using(alias).only("id", "task", "state").in_bulk(ids)
    return [(id_, found.get(id_)) for id_ in ids]


def differences(diff: str) -> list[tuple[str, str, str]]:
    """Return (argument, before, after) of what an edit changed, as JSON."""
    if not diff:
        return []
    told: dict[str, list[Any]] = json.loads(diff)
    return [
        (name, json.dumps(before, ensure_ascii=False), json.dumps(after, ensure_ascii=False))
        for name, (before, after) in told.items()
    ]
