"""What a body may raise to say how its run ends, beside Celery's Retry, Ignore and Reject."""

from datetime import timedelta

from celery.exceptions import Ignore

__all__ = ["Cancel", "Snooze"]


class Snooze(Ignore):
    """`raise Snooze(60)`: not now. The job runs again after *delay* (seconds or a timedelta), which costs no attempt.

    For what is nobody's failure: the file is not there yet, the other side is closed on Sundays.
    """

    def __init__(self, delay: float | timedelta) -> None:
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"Snooze takes seconds from 0 on, not {delay!r}")
        super().__init__(delay)
        self.delay = seconds


class Cancel(Ignore):
    """`raise Cancel("the order is gone")`: there is nothing to do any more. The job ends as cancelled, with *reason*.

    It is no dead letter, and its task's `on_failure` is not told. A waiting `get()` raises TaskRevokedError.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = str(reason)
