"""`celery beat`, for those who run it: one more scheduler, of the same ticks. It needs no broker and no file."""

import logging
from typing import Any

from celery import beat
from django.db import DatabaseError, connections

from celeriac.errors import ConfigurationError
from celeriac.ledger.database import alias_of, require_tables
from celeriac.loops import Backoff, is_outage
from celeriac.schedules.models import Schedule
from celeriac.schedules.rounds import LOOK, Rounds

__all__ = ["Scheduler"]

logger = logging.getLogger("celeriac")


class Scheduler(beat.Scheduler):
    """Fires what is due, as the worker that leads does; it does not lead, and either may fire a tick, but not both."""

    def __init__(self, app: Any, *args: Any, **kwargs: Any) -> None:
        self._rounds = Rounds(app, lambda: True)
        self._backoff = Backoff("celery beat")
        super().__init__(app, *args, **kwargs)

    def setup_schedule(self) -> None:
        """Refuse to start on a ledger without tables."""
        try:
            require_tables()
        except ConfigurationError as error:
            raise SystemExit(f"celeriac: {error}") from None
        except Exception as error:
            if not is_outage(error):
                raise

    def tick(self, *_: Any, **__: Any) -> float:
        """Fire what is due; return the seconds until the next look. A database that is away is waited for."""
        try:
            rest = self._rounds()
        except Exception as error:
            connections.close_all()
            if not is_outage(error):
                logger.exception("celery beat failed; it goes on")
                return LOOK
            return self._backoff.failed(error)
        self._backoff.recovered()
        return rest

    @property
    def info(self) -> str:
        """What the program says of it when it starts."""
        try:
            count = Schedule.objects.using(alias_of()).count()
        except DatabaseError:  # away, or without tables: the start that follows deals with either
            connections.close_all()
            return "    . schedules -> in the ledger"
        return f"    . schedules -> {count} in the ledger; workers fire them too, each tick once"
