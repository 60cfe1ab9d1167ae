"""The time limits of a job: the call's, else its task's, else the worker's, else the project's."""

from collections.abc import Sequence
from typing import Any

from celeriac.api import payload
from celeriac.conf import settings
from celeriac.ledger.rows import ClaimedJob

__all__ = ["Limited", "Limits"]

#: (soft, hard) seconds; None is no limit.
Limited = tuple[float | None, float | None]


class Limits:
    """Looks a job's limits up."""

    def __init__(self, worker: Any) -> None:
        self.worker = worker
        self.tasks = worker.app.tasks
        self.default = settings().DEFAULT_TIME_LIMIT

    def of(self, job: ClaimedJob) -> Limited:
        """Return (soft, hard) seconds for a job."""
        task = self.tasks.get(job.task)
        soft, hard = getattr(task, "soft_time_limit", None), getattr(task, "time_limit", None)
        if '"timelimit"' in job.headers:
            called = payload.decode(job.headers).get("timelimit")
            # Whoever wrote the row: a limit that is none must not stop the claimer.
            if isinstance(called, list) and len(called) == 2 and all(_is_limit(limit) for limit in called):
                soft, hard = called[1] or soft, called[0] or hard
        return soft or self.worker.soft_time_limit or None, hard or self.worker.time_limit or self.default

    def of_all(self, jobs: Sequence[ClaimedJob]) -> list[Limited]:
        """Return the limits of each job, or nothing if none has any."""
        limits = [self.of(job) for job in jobs]
        return limits if any(map(any, limits)) else []


def _is_limit(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
