"""The operators' verbs for SQLite, MySQL and MariaDB: replay and discard."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import F

from celeriac.ledger.audit import Action, Change
from celeriac.ledger.database import clock, writing
from celeriac.ledger.models import Job
from celeriac.ledger.portable_edges import wait_again
from celeriac.ledger.rows import Edit, How
from celeriac.ledger.states import State

__all__ = ["discard", "replay"]

_ANEW: dict[str, Any] = {
    **dict.fromkeys(("attempt", "losses", "waits_for"), 0),
    **dict.fromkeys(("cancel", "exception", "fingerprint"), ""),
    **dict.fromkeys(("suspect", "announced"), False),
    **dict.fromkeys(("expires_at", "started_at", "finished_at", "failing_since"), None),
    **dict.fromkeys(("result", "error", "children", "progress"), None),
}


def replay(
    action: Action, ids: Sequence[UUID], digests: Mapping[UUID, str], how: How, *, using: str | None = None
) -> list[tuple[UUID, str, str, str, str]]:
    """Return (id, state before, queue, state, why it was skipped) of each job."""
    with writing(using) as alias:
        now = clock(using)
        jobs = _locked(ids, alias)
        skips = _skips(action, jobs, digests, how, alias)
        chosen = sorted((job for job in jobs if job.id not in skips), key=lambda job: (job.finished_at, job.id))
        edit = {name: text for name in ("args", "kwargs") if (text := getattr(how.edit, name)) is not None}
        told = [(job.id, job.state, "", "", skips[job.id]) for job in jobs if job.id in skips]
        # Those that are to be the same in everything are one update.
        alike: defaultdict[tuple[Any, ...], list[UUID]] = defaultdict(list)
        for place, job in enumerate(chosen):
            after = how.delay + place * how.every
            state = State.WAITING if job.lane else State.SCHEDULED if after > 0 else State.READY
            reason = "exclusive" if job.lane else ""
            alike[state.value, reason, after, digests.get(job.id)].append(job.id)
            told.append((job.id, job.state, job.queue, state.value, ""))
        for (state_, reason, after, held), some in alike.items():
            now_ = {"state": state_, "reason": reason, "run_at": now + timedelta(seconds=after), **edit}
            now_ |= {"held": held} if held else {}
            Job.objects.using(alias).filter(id__in=some).update(**_ANEW, **now_, replays=F("replays") + 1)
        wait_again([job.id for job in chosen], alias)
        _tell(action, chosen, how.edit.diff, alias)
    return told


def _skips(action: Action, jobs: Sequence[Job], digests: Mapping[UUID, str], how: How, alias: str) -> dict[UUID, str]:
    ids = [job.id for job in jobs]
    done = set(Change.objects.using(alias).filter(action=action, job_id__in=ids).values_list("job_id", flat=True))
    holding = Job.objects.using(alias).filter(held__in=set(digests.values()))
    taken = set(holding.values_list("held", flat=True))
    skips = {}
    for job in sorted(jobs, key=lambda job: (job.finished_at or action.created_at, job.id)):
        fits = job.state in how.states and _ended_before(action, job)
        digest = digests.get(job.id)
        if not fits or job.id in done:
            skips[job.id] = "state"
        elif job.reason == "upstream":
            skips[job.id] = "upstream"
        elif job.reason == "undecodable" and how.edit == Edit() and '"raw":' in job.headers:
            # Its arguments are in bytes that nobody could read; without any it would be another call.
            skips[job.id] = "unread"
        elif digest in taken:
            skips[job.id] = "key"
        elif digest is not None:
            taken.add(digest)
    return skips


def discard(action: Action, ids: Sequence[UUID], *, using: str | None = None) -> list[tuple[UUID, str, str, str]]:
    """Return (id, state before, queue, why it was skipped) of each job."""
    with writing(using) as alias:
        jobs = _locked(ids, alias)
        dead = [job for job in jobs if job.state == State.DEAD and _ended_before(action, job)]
        put_away = Job.objects.using(alias).filter(id__in=[job.id for job in dead])
        put_away.update(state=State.CANCELLED, reason="discarded")
        _tell(action, dead, "", alias)
    chosen = {job.id for job in dead}
    return [(job.id, job.state, job.queue, "" if job.id in chosen else "state") for job in jobs]


def _ended_before(action: Action, job: Job) -> bool:
    return job.finished_at is not None and job.finished_at <= action.created_at


def _locked(ids: Sequence[UUID], alias: str) -> list[Job]:
    jobs = Job.objects.using(alias).select_for_update().filter(id__in=ids).order_by("id")
    return list(jobs.only("id", "state", "reason", "queue", "lane", "finished_at"))


def _tell(action: Action, jobs: Sequence[Job], diff: str, alias: str) -> None:
    Change.objects.using(alias).bulk_create(
        Change(action=action, job_id=job.id, before=job.state, diff=diff) for job in jobs
    )
