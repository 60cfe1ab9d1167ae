"""Whether somebody waits for results: said by who waits, read by every `finish`, so that ends do not ring for nobody.

A NOTIFY wakes the server process of every session that listens, whichever the channel: of each worker, for one. See
docs/decisions/0029-ends-ring-for-who-waits.md.
"""

import logging
import time

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.ledger.database import execute
from celeriac.loops import is_outage

__all__ = ["Notice"]

logger = logging.getLogger("celeriac")

#: A notice holds for so long, and is renewed by who still waits after that; the spare is for whoever is a little late.
SECONDS = 30
RENEW_SECONDS = 10.0

#: An end whose statement began before the notice was committed rings for nobody. So long, at most, should its commit
#: take; one that takes longer is found by the next poll.
UNSEEN_SECONDS = 0.05


class Notice:
    """One process's word that it waits, and when its waiters should look for what went unsaid."""

    def __init__(self) -> None:
        self._renew_at = 0.0
        self._look_at: float | None = None
        self._refused = False

    def give(self, connection: BaseDatabaseWrapper) -> bool:
        """Say that this process waits, if it did not just now; whether it did say so."""
        if time.monotonic() < self._renew_at:
            return False
        try:
            execute("await", {"seconds": SECONDS, "spare": RENEW_SECONDS}, connection)
        except DatabaseError as error:
            if is_outage(error):
                raise
            if not self._refused:
                self._refused = True
                logger.warning("celeriac bell: cannot say that a result is waited for, so it is polled for: %s", error)
        now = time.monotonic()
        self._renew_at, self._look_at = now + RENEW_SECONDS, now + UNSEEN_SECONDS
        return True

    def rest(self, longest: float) -> float:
        """Return the seconds until the waiters should look, *longest* at most."""
        return longest if self._look_at is None else max(0.0, min(longest, self._look_at - time.monotonic()))

    def is_to_look(self) -> bool:
        """Whether the waiters should look now; true once for each notice."""
        if self._look_at is None or time.monotonic() < self._look_at:
            return False
        self._look_at = None
        return True
