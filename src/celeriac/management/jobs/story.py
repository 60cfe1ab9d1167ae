"""All that the ledger knows of one job, as `jobs show` tells it and `jobs show --json` gives it out."""

import json
from dataclasses import dataclass
from typing import Any

from celeriac.ledger.audit import Change
from celeriac.ledger.database import alias_of
from celeriac.ledger.models import Attempt, Edge, Effect, Job, Queue, Worker
from celeriac.ledger.states import ENDED, State
from celeriac.management.jobs.telling import as_json
from celeriac.management.terminal.page import iso, stored

__all__ = ["MOST_RELATIVES", "Story", "story_of"]

#: Of those that a job waits for, or that wait for it.
MOST_RELATIVES = 20


@dataclass(frozen=True, kw_only=True)
class Story:
    """A job and what belongs to it."""

    job: Job
    attempts: list[Attempt]
    effects: list[Effect]
    changes: list[Change]
    parents: list[tuple[Any, Job | None]]  # ids that it waits or waited for, and their rows as far as there are any
    children: list[Job]
    hint: str  # why nothing happens to it just now

    def in_doubt(self, effect: Effect) -> bool:
        """Whether nobody knows if *effect* was had: begun, and its run is over."""
        runs = self.job.state == State.RUNNING and self.job.claim_no == effect.claim_no
        return not effect.done and not runs

    def as_json(self) -> dict[str, Any]:
        """Return all of it for a program."""
        last = self.attempts[-1].message if self.attempts and self.attempts[-1].replay == self.job.replays else None
        return {
            **as_json(self.job, last),
            "args": stored(self.job.args),
            "kwargs": stored(self.job.kwargs),
            "expires_at": iso(self.job.expires_at),
            "waits_for": self.job.waits_for,
            "cancel": self.job.cancel,
            "result": stored(self.job.result),
            "progress": stored(self.job.progress),
            "hint": self.hint,
            "attempts": [_attempt(attempt) for attempt in self.attempts],
            "effects": [{**_effect(effect), "in_doubt": self.in_doubt(effect)} for effect in self.effects],
            "changes": [_change(change) for change in self.changes],
            "parents": [{"id": str(id_), "state": job.state if job else None} for id_, job in self.parents],
            "children": [{"id": str(child.id), "task": child.task, "state": child.state} for child in self.children],
        }


def story_of(job: Job) -> Story:
    """Read what belongs to *job*."""
    alias = alias_of()
    edges = Edge.objects.using(alias)
    ids = list(edges.filter(child=job).order_by("position").values_list("parent", flat=True)[: MOST_RELATIVES + 1])
    parents = Job.objects.using(alias).defer("result", "headers").in_bulk(ids)
    waiting = edges.filter(parent=job.id).select_related("child").order_by("id")[: MOST_RELATIVES + 1]
    return Story(
        job=job,
        attempts=list(Attempt.objects.using(alias).filter(job=job).order_by("id")),
        effects=list(Effect.objects.using(alias).filter(job=job).order_by("begun_at", "id")),
        changes=list(Change.objects.using(alias).filter(job=job).select_related("action").order_by("id")),
        parents=[(id_, parents.get(id_)) for id_ in ids],
        children=[edge.child for edge in waiting],
        hint=_hint(job, alias),
    )


def _hint(job: Job, alias: str) -> str:
    """Return why nothing happens to *job*, where the ledger can tell."""
    if job.state in ENDED or job.state == State.SCHEDULED:
        return ""
    if job.state == State.READY:
        if Queue.objects.using(alias).filter(name=job.queue, paused=True).exists():
            return f"the queue {job.queue} is paused"
        queues = Worker.objects.using(alias).values_list("queues", flat=True)
        if not any(job.queue in json.loads(names) for names in queues):
            return f"no worker takes the queue {job.queue}"
    if job.state == State.WAITING and job.reason == "exclusive":
        turn = Job.objects.using(alias).filter(turn=job.lane).values_list("id", flat=True).first()
        return f"the lane {job.lane} is {turn}'s" if turn else ""
    if job.state == State.WAITING and job.reason == "unregistered":
        return "no worker that takes its queue knows the task"
    return ""


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "replay": attempt.replay,
        "kind": attempt.kind,
        "exception": attempt.exception,
        "message": attempt.message,
        "traceback": attempt.traceback,
        "worker": str(attempt.worker) if attempt.worker else None,
        "started_at": iso(attempt.started_at),
        "finished_at": iso(attempt.finished_at),
    }


def _effect(effect: Effect) -> dict[str, Any]:
    return {
        "name": effect.name,
        "done": effect.done,
        "result": stored(effect.result),
        "begun_at": iso(effect.begun_at),
        "done_at": iso(effect.done_at),
    }


def _change(change: Change) -> dict[str, Any]:
    action = change.action
    return {
        "action": str(action.id),
        "verb": action.verb,
        "actor": action.actor,
        "reason": action.reason,
        "origin": action.origin,
        "at": iso(action.created_at),
        "before": change.before,
        "diff": stored(change.diff or None),
    }
