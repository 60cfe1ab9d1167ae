"""Signals to the worker's main process, handled in turn while it handles the SIGTERM that begins its drain.

Python runs a handler inside of whatever the main thread is at, another handler included. Celery's handler of SIGTERM
takes a lock that is not reentrant (that of its `worker_shutting_down` signal): a second signal in that moment waited
for ever for the first, and nothing but SIGKILL ended the worker. A cold shutdown's handler is long and is meant to be
interrupted, so only SIGTERM's is not.
"""

import signal
from collections import deque
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

__all__ = ["Turns", "install"]

Handler = Callable[[int, FrameType | None], Any]


class Turns:
    """Handlers of which one is never interrupted by the others."""

    def __init__(self, whole: int) -> None:
        self._whole = whole  # the signal whose handler runs to its end
        self._busy = False
        self._due: deque[tuple[Handler, int, FrameType | None]] = deque()

    def handle(self, handler: Handler, signum: int, frame: FrameType | None) -> None:
        """Call *handler* now, or once the one that may not be interrupted is over."""
        self._due.append((handler, signum, frame))
        # Another signal may come between any two of these lines; whoever finds the place free handles what is due.
        while self._due and not self._busy:
            try:
                handler, signum, frame = self._due.popleft()
            except IndexError:
                return
            self._busy = signum == self._whole
            try:
                handler(signum, frame)
            finally:
                self._busy = False


def install() -> None:
    """Have the handlers that Celery has just installed take turns."""
    turns = Turns(signal.SIGTERM)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        handler = signal.getsignal(signum)
        if callable(handler):
            signal.signal(signum, partial(turns.handle, handler))
