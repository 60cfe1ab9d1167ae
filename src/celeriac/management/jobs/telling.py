"""What is said of a job, in words for a table and in keys for a program."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Left

from celeriac.ledger.database import alias_of
from celeriac.ledger.models import Attempt, Job
from celeriac.ledger.states import State
from celeriac.management.terminal.moments import ago, span
from celeriac.management.terminal.page import iso
from celeriac.management.terminal.screen import Cell, one_line

__all__ = ["STYLES", "as_json", "cause", "messages_of", "state_cell", "took", "why"]

STYLES: dict[str, str] = {
    State.DEAD: "ERROR",
    State.SUCCEEDED: "SUCCESS",
    State.RUNNING: "WARNING",
    State.CANCELLED: "NOTICE",
}

#: So much of a message is looked at for one line.
MOST = 300


def as_json(job: Job, message: str | None = None) -> dict[str, Any]:
    """Return what `list --json` says of a job."""
    return {
        "id": str(job.id),
        "task": job.task,
        "state": job.state,
        "reason": job.reason,
        "queue": job.queue,
        "priority": job.priority,
        "key": job.key,
        "lane": job.lane,
        "attempt": job.attempt,
        "losses": job.losses,
        "replays": job.replays,
        "created_at": iso(job.created_at),
        "run_at": iso(job.run_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
        "worker": str(job.worker) if job.worker else None,
        "group": job.fingerprint,
        "exception": job.exception,
        "message": message,
    }


def messages_of(ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return the beginning of what the last failure said, of the jobs that have failed since their last replay."""
    failures = Attempt.objects.using(alias_of()).filter(job_id__in=list(ids), replay=F("job__replays"))
    said = failures.order_by("job_id", "id").annotate(said=Left("message", MOST))
    return dict(said.values_list("job_id", "said"))  # the last wins


def cause(exception: str, reason: str, message: str | None) -> str:
    """Return in one line what something died of: "Timeout: no answer in 10 s", or "lost"."""
    name = exception.rpartition(".")[2]
    known = name if reason in {"", "failed", "exhausted"} and name else ": ".join(filter(None, [reason, name]))
    said = one_line(message or "")
    return f"{known}: {said}" if known and said else known or said


def why(job: Job, message: str | None, now: datetime) -> str:
    """Return in one line why a job stands where it stands."""
    match job.state:
        case State.DEAD:
            return cause(job.exception, job.reason, message)
        case State.RUNNING:
            told = f"for {span((now - job.started_at).total_seconds())}" if job.started_at else ""
            return f"{told}, asked to cancel" if job.cancel else told
        case State.SCHEDULED:
            return ", ".join(filter(None, [ago(job.run_at, now), cause("", "", message)]))
        case State.WAITING:
            return job.reason or f"for {job.waits_for:,} job{'s' if job.waits_for != 1 else ''}"
        case State.SUCCEEDED:
            return ", ".join(filter(None, [job.reason, took(job.started_at, job.finished_at)]))
    return job.reason


def took(started: datetime | None, ended: datetime | None) -> str:
    """Return how long the body took, where it is known."""
    return f"took {span((ended - started).total_seconds())}" if started and ended else ""


def state_cell(job: Job) -> Cell:
    """Return the state in its colour."""
    return Cell(job.state, STYLES.get(job.state, ""))
