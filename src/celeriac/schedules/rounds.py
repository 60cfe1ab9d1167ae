"""What a scheduler does, again and again: in a worker that leads, and in `celery beat`."""

import time
from collections.abc import Callable
from typing import Any

from celeriac.conf import settings
from celeriac.ledger.columns import BATCH
from celeriac.ledger.database import clock
from celeriac.schedules import tables
from celeriac.schedules.fire import fire
from celeriac.schedules.sync import sync_code, sync_tables
from celeriac.schedules.watch import prune, watch

__all__ = ["Rounds"]

#: Seconds between two looks: at what is due, at the tables of django-celery-beat, at the jobs of ticks, at old ticks.
LOOK = 1.0
TABLES = 4.0
WATCH = 2.0
PRUNE = 60.0

#: Between two looks at what is due, while the tables are read.
MEANWHILE = 0.2

#: Between two looks at what another is firing.
BUSY = 0.05

#: Of one that does not lead: until it looks whether it does.
FOLLOWS = 0.5


class Rounds:
    """The rounds of one scheduler; called, it does what is due and returns the seconds until it wants to be called."""

    def __init__(self, app: Any, leads: Callable[[], bool]) -> None:
        self.app = app
        self._leads = leads
        self._has_code = False
        self._seen = ""  # the tables' fingerprint
        self._due: dict[str, float] = {}
        self._after = 0

    def __call__(self) -> float:
        if not self._has_code:
            if sync_code(self.app) and tables.are_there():
                # A name came from there, or went back: whoever leads looks again only when they change.
                sync_tables(self.app)
            self._has_code = True
        if not self._leads():
            self._seen = ""  # whoever leads meanwhile may read them with other code
            return FOLLOWS
        if self._is_time("tables", TABLES) and tables.are_there():
            self._look_at_tables()
        fired = fire(self.app)
        if self._is_time("watch", WATCH):
            self._after = watch(self.app, self._after)
        if self._is_time("prune", PRUNE):
            self._prune()
        if fired.next_due is None:
            return LOOK
        # Due, and none fired: another has them. It may have stopped in the middle, and is not waited for in a hurry.
        return min(LOOK, max(0.0 if fired.schedules else BUSY, fired.next_due))

    def _is_time(self, what: str, seconds: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + seconds
        return True

    def _look_at_tables(self) -> None:
        seen = tables.fingerprint()
        if seen != self._seen:
            sync_tables(self.app, self._fire_meanwhile)
            self._seen = seen

    def _fire_meanwhile(self) -> None:
        if self._is_time("fire", MEANWHILE):
            fire(self.app)

    def _prune(self) -> None:
        age = settings().TICK_RETENTION
        if age is not None and prune(clock() - age) == BATCH:
            self._due["prune"] = 0.0
