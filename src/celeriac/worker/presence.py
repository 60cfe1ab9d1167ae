"""Presence: the worker's row, renewed on a timer, so that others can tell it from a dead one.

On PostgreSQL the thread also watches its session between renewals: one that was cut is replaced at once, before anybody
takes the missing advisory lock for a death.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from celeriac.conf import settings
from celeriac.ledger import bell
from celeriac.ledger.database import alias_of, can_notify, connection_of, unforked
from celeriac.ledger.models import Worker
from celeriac.ledger.rows import Present
from celeriac.ledger.verbs import leave, renew
from celeriac.loops import Loop
from celeriac.upkeep.census import MISSED, RETURNED
from celeriac.upkeep.leader import Leadership
from celeriac.worker.board import Board, now

__all__ = ["Presence"]

logger = logging.getLogger("celeriac")


class Presence(Loop):
    """One worker's row in the ledger, and what its renewals say."""

    def __init__(
        self,
        worker: Any,
        id_: UUID,
        board: Board,
        *,
        queues: Callable[[], Iterable[str]],
        stuck: Callable[[], list[str]],
        told: Callable[[bool], None],
        elected: Callable[[], None],
        disowned: Callable[[], None],
    ) -> None:
        self.heartbeat = settings().HEARTBEAT_SECONDS
        # An outage must not be slept through: who is not back within a heartbeat is taken for dead.
        super().__init__("presence", self.renew, cap=self.heartbeat / 2, guard=unforked)
        self.worker = worker
        self.id = id_
        self.board = board
        self.leadership = Leadership(id_, self.heartbeat)
        self._queues = queues
        self._stuck = stuck
        self._told = told  # called after each renewal with whether jobs of ours are to be cancelled
        self._elected = elected  # called when this worker begins to lead
        self._disowned = disowned  # called when our jobs were given to others
        self._listener = bell.Listener()
        self._known = False
        self._steady_since: float | None = None

    def steady(self) -> float:
        """Return for how many seconds renewals have worked and sessions have held: ours, and others' before we came."""
        late = now() >= self.board.fresh_until  # a renewal that hangs has not failed yet
        return 0.0 if late or self._steady_since is None else now() - self._steady_since

    def leads(self) -> bool:
        """Whether this worker leads."""
        return self.leadership.leads(now())

    def renew(self) -> float:
        """Write the row as of now; return the seconds until it should be written again."""
        asked = now()
        led = self.leadership.leads(asked)
        settles = RETURNED * self.heartbeat
        stale = self.leadership.stale(asked)
        renewal = renew(self._present(), stale, settled=self.steady() > settles, settles=settles)
        answered = now()
        self.leadership.told(renewal, asked, answered)
        if renewal.made and self._known:
            self._disowned()  # before anything may start again
            logger.error(
                "This worker (%s) was taken for lost: it had not been seen for too long. Its jobs were given to "
                "others; what still runs of them here will be refused. It goes on with new jobs.",
                self.worker.hostname,
            )
        self.board.fresh_until = asked + MISSED * self.heartbeat
        if answered - asked > self.heartbeat:
            self._steady_since = answered
        elif self._steady_since is None:
            self._steady_since = answered - (0.0 if self._known else renewal.held)
        if renewal.made and not self._known:
            self._look_for_namesakes()
        self._known = True
        self._told(renewal.cancels)
        if self.leads() and not led:
            self._elected()
        return self.leadership.rest(answered, self.heartbeat - (answered - asked))

    def _present(self) -> Present:
        return Present(
            id=self.id,
            hostname=self.worker.hostname,
            pid=os.getpid(),
            pool=type(self.worker.pool).__module__.rpartition(".")[2],
            concurrency=self.worker.concurrency,
            queues=json.dumps(sorted(self._queues())),
            heartbeat=self.heartbeat,
            stuck=json.dumps(self._stuck()),
        )

    # -- between renewals

    def pause(self, seconds: float) -> None:
        """Rest, unless the session is cut."""
        connection = connection_of() if can_notify() else None
        self._listener.wait(max(0.0, seconds), connection)

    def failed(self) -> None:
        """Note that a renewal failed, or that the session was cut."""
        self._steady_since = None

    def wake(self) -> None:
        """End the current rest."""
        self._listener.wake()

    def end(self) -> None:
        """Remove the row: this worker holds nothing any more."""
        leave(self.id)

    def _look_for_namesakes(self) -> None:
        workers = Worker.objects.using(alias_of())
        me = workers.get(id=self.id)
        lately = me.seen_at - timedelta(seconds=3 * self.heartbeat)
        for other in workers.filter(hostname=me.hostname, seen_at__gte=lately).exclude(id=self.id):
            logger.error(
                "Another worker named %s is running (pid %d, seen %.1f s ago), or was killed just now. Jobs are safe: "
                "each worker holds its own claims. But remote control and Flower cannot tell the two apart: give each "
                "its own name, e.g. celery -A app worker -n worker2@%%h",
                *(other.hostname, other.pid, (me.seen_at - other.seen_at).total_seconds()),
            )
