"""Which deaths somebody is told of, and the end of what was not started in time."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID, uuid5

from celery.exceptions import TaskRevokedError

from celeriac.api import payload
from celeriac.api.builtins import TELL_OF_DEATH
from celeriac.api.task import Task
from celeriac.ledger.models import Job
from celeriac.ledger.rows import NewJob, Settlement
from celeriac.outcomes import dotted, fingerprint
from celeriac.signals import job_dead
from celeriac.worker.story import error_json

__all__ = ["expiry", "tellers"]


def tellers(tasks: Mapping[str, Any]) -> Callable[[list[Job]], Iterator[NewJob]]:
    """Return a function that makes, of dead jobs, the jobs that tell of them, where anybody listens.

    A teller goes to the queue of the dead, whose workers know its task; its id is that death's own.
    """

    def make(dead: list[Job]) -> Iterator[NewJob]:
        for job in dead:
            # A chain's rest dies of its step's cause, and that was told.
            if job.reason != "upstream" and job.task != TELL_OF_DEATH and _is_awaited(tasks.get(job.task)):
                yield NewJob(
                    id=uuid5(job.id, f"{TELL_OF_DEATH}:{job.replays}"),
                    task=TELL_OF_DEATH,
                    queue=job.queue or "celery",
                    args=payload.encode([str(job.id)]),
                    headers=payload.encode({"ignore_result": True}),
                )

    return make


def _is_awaited(task: Any) -> bool:
    # Of a task that this worker does not know, another worker knows whether it has a hook.
    return task is None or type(task).on_dead is not Task.on_dead or bool(job_dead.receivers)


def expiry(tasks: Mapping[str, Any]) -> Callable[[UUID, str, str], Settlement]:
    """Return a function that says how a job ends that was not started before it expired (see the verb `expire`)."""
    error = TaskRevokedError("expired")
    text, exception = error_json(error), dotted(type(error))

    def end(id_: UUID, task: str, asked: str) -> Settlement:
        if asked:
            return Settlement(id_, "cancelled", "revoked")
        if not getattr(tasks.get(task), "dead_on_expiry", False):
            return Settlement(id_, "cancelled", "expired")
        print_ = fingerprint(exception, "expired", "", task)
        return Settlement(id_, "dead", "expired", error=text, exception=exception, fingerprint=print_)

    return end
