"""The one loop every background service runs in: interruptible, surviving errors, saying each trouble once.

A service is a function that does one round and returns how long to rest. When a round fails because the database is
away, the loop says so once, closes the thread's connections, and tries again with capped exponential backoff and equal
jitter (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015), so that a fleet does not return in step.
"""

import logging
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar
from weakref import WeakSet

from django.db import connections
from django.db.utils import InterfaceError, OperationalError

__all__ = ["Backoff", "Loop", "insist", "is_conflict", "is_outage", "leave_signals_to_main"]

logger = logging.getLogger("celeriac")

T = TypeVar("T")


def is_outage(error: BaseException) -> bool:
    """Whether *error* means that the database cannot be reached or talked to, rather than that it refused the data."""
    return isinstance(error, OperationalError | InterfaceError)


#: Serialization failure and deadlock, by SQLSTATE.
CONFLICTS = {"40001", "40P01"}

#: Of MySQL: deadlock, lock wait timeout. Of MariaDB: the row changed since the transaction's snapshot.
MYSQL_CONFLICTS = {1213, 1205, 1020}


def is_conflict(error: BaseException) -> bool:
    """Whether *error* means that transactions got in each other's way, so that the same one may succeed again."""
    return any(_is_conflict(cause) for cause in _causes(error))


def _is_conflict(error: BaseException) -> bool:
    if (getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)) in CONFLICTS:
        return True
    if not isinstance(error, OperationalError):
        return False
    code = error.args[0] if error.args else None
    return code in MYSQL_CONFLICTS or str(code).startswith(("database is locked", "database table is locked"))


def _causes(error: BaseException) -> list[BaseException]:
    """Return *error* and what caused it: Django's errors are raised from the driver's."""
    found = [error]
    while (cause := found[-1].__cause__) is not None and cause not in found:
        found.append(cause)
    return found


def leave_signals_to_main() -> None:
    """Block every signal in the calling thread, for our threads in pool processes, which run no code of others.

    A pool process that ends masks SIGTERM in its main thread while it holds the lock of the pool's result pipe. A
    second SIGTERM then goes to any other thread, kills the process there and then, and leaves the lock taken for ever.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


#: Who is waiting for the database in this process: one outage is one line in the log, however many notice it.
_away: WeakSet["Backoff"] = WeakSet()


class Backoff:
    """Delays between attempts to reach the database, and the one log line per outage and process."""

    def __init__(self, service: str, *, base: float = 0.1, cap: float = 5.0) -> None:
        self.service = service
        self.base = base
        self.cap = cap
        self.failures = 0

    def failed(self, error: BaseException) -> float:
        """Note a failure; return the seconds to wait before the next attempt."""
        first = not _away
        _away.add(self)
        if first:
            logger.error(
                "%s: the ledger's database is not available (%s). Trying again with backoff until it is; "
                "committed jobs are safe in it.",
                self.service,
                str(error).strip() or type(error).__name__,
            )
        self.failures += 1
        ceiling = min(self.cap, self.base * 2.0 ** min(self.failures, 16))
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - spread, not secrecy

    def recovered(self) -> None:
        """Note a success; the last to see the database back says so."""
        if self.failures:
            _away.discard(self)
            if not _away:
                logger.warning("%s: the ledger's database is back after %d attempts.", self.service, self.failures)
            self.failures = 0


def insist(service: str, write: Callable[[], T]) -> T:
    """Return what *write* returns, trying again for as long as the database is away; any other error is raised."""
    backoff = Backoff(service)
    while True:
        try:
            written = write()
        except Exception as error:
            if not is_outage(error):
                raise
            connections.close_all()
            time.sleep(backoff.failed(error))
        else:
            backoff.recovered()
            return written


class Loop(threading.Thread):
    """A daemon thread that calls *round* until stopped, resting the seconds each call returns.

    What it does with the database is done inside of what *guard* returns.
    """

    def __init__(
        self,
        name: str,
        round: Callable[[], float],  # noqa: A002 - the word for it
        *,
        cap: float = 5.0,
        guard: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        super().__init__(name=f"celeriac-{name}", daemon=True)
        self._round = round
        self._guard = guard
        self._wake = threading.Event()
        self._stopping = False
        self._backoff = Backoff(f"celeriac {name}", cap=cap)

    def run(self) -> None:
        rest = 0.0
        while not self._stopping:
            try:
                with self._guard():
                    rest = self._round()
                self._backoff.recovered()
                if not self._stopping:
                    self.pause(rest)
            except Exception as error:
                self._close()
                self.failed()
                if not is_outage(error):
                    logger.exception("%s failed; it goes on", self.name)
                self.pause(self._backoff.failed(error) if is_outage(error) else 1.0)
        self._close()

    def _close(self) -> None:
        with self._guard():
            connections.close_all()

    def pause(self, seconds: float) -> None:
        """Rest for *seconds*, or until `wake()`."""
        self._wake.wait(seconds)
        self._wake.clear()

    def failed(self) -> None:
        """Note that a round failed; for services that have to know."""

    def wake(self) -> None:
        """End the current rest."""
        self._wake.set()

    def stop(self, timeout: float | None = 10.0) -> None:
        """Ask the loop to end after its current round and wait up to *timeout* seconds for it."""
        self._stopping = True
        self.wake()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(timeout)
