"""What is told when a job ended and its process could not tell it any more.

A pool process reports its failures itself, through Celery's tracer. When it died, or a time limit or an operator ended
it, the parent does what Celery's parent does: fail the rest of a chain, call the errbacks, the task's `on_failure` and
the signals. The ledger has the end already; whatever fails here costs none of it.
"""

import logging
from collections.abc import Iterable
from typing import Any

from billiard.einfo import ExceptionInfo
from celery import signals
from celery.app.task import Context

from celeriac.ledger.rows import ClaimedJob
from celeriac.ledger.verbs import Judged
from celeriac.worker.request import request_of

__all__ = ["tell"]

logger = logging.getLogger("celeriac")


def tell(app: Any, hostname: str, jobs: Iterable[ClaimedJob], judged: Judged, error: Exception) -> None:
    """Tell of those of *jobs* that the verdicts end, all because of *error*."""
    ended = {ending.id: ending.state for ending in judged.endings}
    for job in jobs:
        if ended.get(job.id) == "cancelled":
            tell_of_revocation(app, job, hostname, error)
        elif job.id in ended:
            tell_of_death(app, job, hostname, error)


def tell_of_death(app: Any, job: ClaimedJob, hostname: str, error: Exception) -> None:
    """Tell the task, its errbacks, its chain and the signals that *job* died of *error*."""
    try:
        task = app.tasks[job.task]
        task_id, args, kwargs, request = request_of(job, hostname)
        context = Context(request)
        einfo = _einfo(error)
        task.backend.mark_as_failure(task_id, error, einfo.traceback, request=context)
        task.request_stack.push(context)
        try:
            task.on_failure(error, task_id, args, kwargs, einfo)
            signals.task_failure.send(
                sender=task,
                task_id=task_id,
                exception=error,
                args=args,
                kwargs=kwargs,
                traceback=error.__traceback__,
                einfo=einfo,
            )
        finally:
            task.request_stack.pop()
    except Exception:
        logger.exception("Job %s[%s] is dead, but not everybody could be told", job.task, job.id)


def tell_of_revocation(app: Any, job: ClaimedJob, hostname: str, signum: Any) -> None:
    """Tell the signal that *job* was terminated."""
    try:
        task = app.tasks[job.task]
        task_id, _, _, request = request_of(job, hostname)
        context = Context(request)
        task.backend.mark_as_revoked(task_id, "terminated", request=context)
        signals.task_revoked.send(task, request=context, terminated=True, signum=signum, expired=False)
    except Exception:
        logger.exception("Job %s[%s] was terminated, but not everybody could be told", job.task, job.id)


def _einfo(error: Exception) -> Any:
    try:
        raise error  # noqa: TRY301 - billiard reads the exception being handled
    except Exception:
        return ExceptionInfo()
