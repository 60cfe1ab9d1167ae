"""The job that this thread is running, if any: where the engine, the result backend and the API meet during a body."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from celeriac.ledger.rows import ClaimedJob, NewJob

__all__ = ["Run", "current_run", "running"]


@dataclass(slots=True)
class Run:
    """One run of a claimed job, and what was said about it while it ran."""

    task_id: str
    job: ClaimedJob
    root_id: str = ""
    #: Whether somebody has asked to cancel it by now: a look at memory, as often as one likes.
    cancelled: Callable[[], bool] = lambda: False
    began: float = field(default_factory=time.monotonic)
    #: A retry was asked for and not granted: how often or how long the job may be tried is used up.
    exhausted: bool = False
    #: The job as a retry asked for it again; becomes a state change of this row, never a new message.
    again: NewJob | None = None
    #: Its result as JSON, encoded inside Celery's tracer so that a failure to encode is a failure of the task.
    result: str | None = None
    #: The jobs it started, as JSON of their results' tuples.
    children: str | None = None
    #: What update_state() last said of this job: (state, encoded meta).
    said: tuple[str, str] | None = None
    #: What takes the job's place (Task.replace), sent when the body has left.
    replacement: Any = None
    #: The row already left this run (it was replaced, or its end is committed); nothing more is to be written.
    settled: bool = False
    #: Body and end share a transaction.
    atomic: bool = False
    #: Raised in place of the body of an atomic run whose effects were undone: how it is to end.
    doom: BaseException | None = None
    #: The body of an atomic run returned, and its savepoint is released.
    returned: bool = False


running: ContextVar[Run | None] = ContextVar("celeriac_run", default=None)


def current_run(task_id: object = None) -> Run | None:
    """Return the run of this thread, or None; with *task_id*, only if it is the run of that job."""
    run = running.get()
    if run is None or (task_id is not None and run.task_id != str(task_id)):
        return None
    return run
