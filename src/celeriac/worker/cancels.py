"""Cancelling what this worker runs: its jobs that somebody marked in the ledger, marked on the board and seen to."""

import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from celery.platforms import signals

from celeriac.ledger.database import poll_seconds, unforked
from celeriac.ledger.queries import cancels_of
from celeriac.worker.dispatch import Dispatcher

__all__ = ["Cancels"]

logger = logging.getLogger("celeriac")


class Cancels:
    """What is asked of one worker. The claimer calls it, which owns the connection; other threads only wake that."""

    def __init__(self, id_: UUID, dispatcher: Dispatcher, wake: Callable[[], None]) -> None:
        self.id = id_
        self.dispatcher = dispatcher
        self.asked = False  # somebody asked to cancel a job that may be ours
        self.to_terminate: dict[UUID, Any] = {}
        self._wake = wake
        self._found: dict[UUID, str] = {}  # by the last look
        self._told_of_pool = False

    def look_soon(self) -> None:
        """Have the ledger asked soon; from any thread."""
        self.asked = True
        self._wake()

    def look(self) -> None:
        """Mark on the board, and have the end seen to of, what somebody asked to cancel.

        Called from another thread than the claimer's only where the pool blocks that one.
        """
        self.asked = False
        if not self.dispatcher.claims:
            return
        with unforked():
            before, self._found = self._found, dict(cancels_of(self.id))
        for id_, how in self._found.items():
            self.dispatcher.cancel(id_)
            if how in {"ask", before.get(id_)}:
                continue  # a second signal would interrupt the cleaning up after the first
            if self.dispatcher.has_processes:
                self.to_terminate[id_] = signals.signum(how)
            elif not self._told_of_pool:
                self._told_of_pool = True
                logger.warning(
                    "Job %s was revoked with terminate=True, but only the prefork pool can end a body from outside: "
                    "here it is asked, and may look at self.cancelled(). (Said once.)",
                    id_,
                )

    def look_while_blocked(self) -> float:
        """A round for a `Loop`: a body that the claimer's thread runs itself keeps it from hearing who wants it
        cancelled.
        """
        self.look()
        return poll_seconds()

    def terminate(self) -> None:
        """Send the signals that were asked for to those that run now; who is about to start gets it the next time."""
        for id_, signal in list(self.to_terminate.items()):
            if self.dispatcher.terminate(id_, signal) is not None:
                self.to_terminate.pop(id_, None)
