"""A broker connection that notices a shutdown.

Without its event loop Celery's consumer waits two seconds at a time for the broker, twice once it is to stop, and
Python resumes such a wait after a signal. A worker that has nothing left to do must not keep a deploy waiting.
"""

import time
from typing import Any

from celery.worker import state

__all__ = ["Attentive"]

SLICE_SECONDS = 0.2


class Attentive:
    """Stands for a kombu connection; `drain_events` waits in slices and ends when the worker is to stop."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def drain_events(self, timeout: float | None = None, **kwargs: Any) -> Any:
        """Do as the connection's own; raises `TimeoutError` when nothing came in time, or the worker is to stop."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while state.should_stop is None and state.should_terminate is None:
            try:
                return self._connection.drain_events(timeout=SLICE_SECONDS, **kwargs)
            except TimeoutError:
                if deadline is not None and time.monotonic() >= deadline:
                    raise
        raise TimeoutError("The worker is to stop")
