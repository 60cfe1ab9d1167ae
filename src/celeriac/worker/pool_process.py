"""What a pool process does for the body it runs: the end of its soft time limit, and the last lines it logged.

The limit is a signal handler that raises only in the job that it is meant for; the lines go where the worker finds them
when the process is gone.
"""

import logging
import os
import signal
import threading
from collections import deque
from types import FrameType

from celery.exceptions import SoftTimeLimitExceeded

from celeriac.worker import board as boards

__all__ = ["install", "running"]

#: Lines of log kept of a body.
LINES = 20


class _Running:
    """The slot and index of the job that this pool process's main thread is at, and whether it is in the tracer."""

    slot = boards.NOBODY
    index = boards.NOBODY
    body = False


running = _Running()
_installed = 0


def install() -> bool:
    """Take SIGUSR1 from billiard, whose handler raises in whatever runs when the signal arrives; and listen to the log.

    False, and nothing done, but in a pool process: in the worker's main process SIGUSR1 prints every thread's stack.
    """
    global _installed
    pid = os.getpid()
    if _installed == pid:
        return True
    board = boards.board
    if board is None or pid == board.owner or threading.current_thread() is not threading.main_thread():
        return False
    signal.signal(signal.SIGUSR1, _raise_if_late)
    logging.getLogger().addHandler(_Tail(board))
    _installed = pid
    return True


def _raise_if_late(_signum: int, _frame: FrameType | None) -> None:
    board = boards.board
    if board is not None and running.body and board.is_late(running.slot, running.index):
        board.call_time(running.slot, boards.NOBODY)
        raise SoftTimeLimitExceeded


class _Tail(logging.Handler):
    """Keeps the last lines that a body logs."""

    def __init__(self, board: boards.Board) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._board = board
        self._of = (boards.NOBODY, boards.NOBODY)
        self._lines: deque[str] = deque(maxlen=LINES)

    def emit(self, record: logging.LogRecord) -> None:
        of = running.slot, running.index
        if running.index == boards.NOBODY:
            return
        if of != self._of:
            self._of = of
            self._lines.clear()
        try:
            self._lines.append(self.format(record))
            self._board.write_text(running.slot, "\n".join(self._lines))
        except Exception:
            self.handleError(record)
