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
        self.default = settings().DEFAULT_TIME_LIMIT

    def of(self, job: ClaimedJob) -> Limited:
        """Return (soft, hard) seconds for a job."""
        task = self.worker.app.tasks.get(job.task)
        soft, hard = getattr(task, "soft_time_limit", None), getattr(task, "time_limit", None)
        if '"timelimit"' in job.headers:
            called_hard, called_soft = payload.decode(job.headers).get("timelimit") or (None, None)
            soft, hard = called_soft or soft, called_hard or hard
        return soft or self.worker.soft_time_limit or None, hard or self.worker.time_limit or self.default

    def of_all(self, jobs: Sequence[ClaimedJob]) -> list[Limited]:
        """Return the limits of each job, or nothing if none has any."""
        limits = [self.of(job) for job in jobs]
        return limits if any(soft or hard for soft, hard in limits) else []
