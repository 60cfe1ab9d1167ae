"""Presence: the worker's row, renewed on a timer, so that others can tell it from a dead one."""

import json
import logging
import os
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from celeriac.conf import settings
from celeriac.ledger.database import alias_of, clock
from celeriac.ledger.models import Worker

__all__ = ["Presence"]

logger = logging.getLogger("celeriac")


class Presence:
    """One worker's row in the ledger."""

    def __init__(self, worker: Any, id_: UUID, queues: Callable[[], Iterable[str]]) -> None:
        self.worker = worker
        self.id = id_
        self._queues = queues
        self._asked = False

    def renew(self) -> float:
        """Write the row as of now; return the seconds until it should be written again."""
        workers = Worker.objects.using(alias_of())
        now = clock()
        facts = {
            "hostname": self.worker.hostname,
            "pid": os.getpid(),
            "pool": type(self.worker.pool).__module__.rpartition(".")[2],
            "concurrency": self.worker.concurrency,
            "queues": json.dumps(sorted(self._queues())),
            "seen_at": now,
        }
        if not workers.filter(id=self.id).update(**facts):
            workers.create(id=self.id, started_at=now, **facts)
        if not self._asked:
            self._asked = True
            self._look_for_namesakes(now)
        return settings().HEARTBEAT_SECONDS

    def _look_for_namesakes(self, now: Any) -> None:
        lately = now - timedelta(seconds=3 * settings().HEARTBEAT_SECONDS)
        workers = Worker.objects.using(alias_of()).filter(hostname=self.worker.hostname, seen_at__gte=lately)
        for other in workers.exclude(id=self.id):
            logger.error(
                "Another worker named %s is running (pid %d, seen %.1f s ago), or was killed just now. Jobs are safe: "
                "each worker holds its own claims. But remote control and Flower cannot tell the two apart: give each "
                "its own name, e.g. celery -A app worker -n worker2@%%h",
                *(other.hostname, other.pid, (now - other.seen_at).total_seconds()),
            )

    def leave(self) -> None:
        """Remove the row: this worker holds nothing any more."""
        Worker.objects.using(alias_of()).filter(id=self.id).delete()
