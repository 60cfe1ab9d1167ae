"""An atomic job: body and end in one transaction on the ledger's database, so that its effects happen exactly once.

The whole of Celery's tracer runs inside the transaction, and the thread that ran the body writes the end itself. Either
all of it commits or nothing did, and then the job runs again or, when that would end the same way, the tracer is told
of the failure in a transaction of its own: the body is not run, its savepoint (`celeriac.api.atomic`) raises at once,
and retries, errbacks and the rest of a chain follow as from any failure.
"""

import logging
import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from billiard.common import terminate_handler_fired
from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError

from celeriac import faults
from celeriac.api.atomic import Undone, refusal
from celeriac.api.context import Run
from celeriac.errors import ConfigurationError
from celeriac.ledger import bell
from celeriac.ledger.database import alias_of
from celeriac.ledger.rows import ClaimedJob, Ending
from celeriac.ledger.verbs import finish, reschedule
from celeriac.loops import is_conflict, is_outage
from celeriac.outcomes import Kind, Outcome
from celeriac.worker.replace import substitute
from celeriac.worker.report import Done, written

__all__ = ["TRIES", "run_atomically"]

logger = logging.getLogger("celeriac")

#: How often a job runs before a conflict with other transactions counts as its failure.
TRIES = 6

#: PQTRANS_INERROR, the same in every driver.
IN_ERROR = 3


class _Stale(Exception):
    """The fence refused the end: the job is no longer ours."""


class _Doomed(Exception):
    """The transaction must not commit, and would not another time either; `__cause__` is how the job failed."""


class _Next(NamedTuple):
    """What follows on a pass that came to nothing: an end, or another pass."""

    done: Done | None = None
    doom: BaseException | None = None


def run_atomically(job: ClaimedJob, task: Any, trace: Callable[..., Done]) -> Done:
    """Run *job* and write its end; what is returned tells the flusher what is left to write, usually nothing."""
    if why := refusal(task, alias_of()):
        return Done(job, task, error=ConfigurationError(why))
    started = time.monotonic()
    doom: BaseException | None = None
    tries = 0
    while True:
        tries += 1
        one = _Pass(job, trace, doom, started)
        try:
            one.go()
        except BaseException as error:
            if terminate_handler_fired():
                # A rollback that fails on the way out of a SystemExit takes its place.
                raise SystemExit from error
            done, found = one.judge(error, tries)
            if done is not None:
                done.task, done.ran = task, time.monotonic() - started
                return done
            if found is not None:
                doom, tries = found, 0
            else:
                time.sleep(random.uniform(0.01, 0.05) * tries)  # noqa: S311 - spread, not secrecy
        else:
            return one.settled()


class _Pass:
    """One transaction with the tracer in it."""

    def __init__(self, job: ClaimedJob, trace: Callable[..., Done], doom: BaseException | None, started: float) -> None:
        self.job = job
        self.trace = trace
        self.doom = doom
        self.started = started
        self.alias = alias_of()
        self.done: Done | None = None
        self.begun = self.ended = self.committed = False
        self.rings: list[str] = []

    def go(self) -> None:
        """Run, write and commit."""
        with transaction.atomic(using=self.alias, durable=True):
            self.begun = True
            # The first of the callbacks, so that whatever another of them raises is known to come after the commit.
            transaction.on_commit(self._committed, using=self.alias)
            done = self.done = self.trace(atomic=True, doom=self.doom)
            done.ran = time.monotonic() - self.started
            connection = connections[self.alias]
            if done.run is not None:
                self._refuse_half(done, done.run, connection)
            self._write(done)
            self.ended = True
            if _is_broken(connection):  # PostgreSQL answers this COMMIT with a ROLLBACK, and no error
                raise TransactionManagementError("A subscriber's query broke the transaction of an atomic job.")
            faults.point("atomic.before_commit")

    def _committed(self) -> None:
        self.committed = True

    def _refuse_half(self, done: Done, run: Run, connection: BaseDatabaseWrapper) -> None:
        """Raise where committing would keep a failed job's effects, or could not succeed."""
        if isinstance(done.error, Undone):
            raise done.error
        if run.returned and done.error is not None and done.outcome is None:
            # A result that cannot be kept, a callback that cannot be sent: the body's savepoint is released already.
            raise _Doomed from done.error
        if _is_broken(connection):
            broke = "The transaction of an atomic job was closed or broken while it ran."
            raise _Doomed from (done.error or TransactionManagementError(broke))

    def _write(self, done: Done) -> None:
        run = done.run
        if run is not None and run.replacement is not None:
            if not substitute(run):
                raise _Stale
            return
        what, story = written(done, 0.0)
        stories = [story] if story else []
        if isinstance(what, Ending):
            finished = finish([what], stories)
            if finished.stale:
                raise _Stale
            self.rings = finished.freed
        elif what is not None:
            moved = reschedule([what], stories)
            if not moved:
                raise _Stale
            self.rings = [queue if state == "ready" else bell.SCHEDULED for queue, state, _ in moved]

    def settled(self) -> Done:
        """Tell whoever waits; return the end as one that is written."""
        bell.ring_ready(self.rings)
        bell.ring_done()
        return self._over()

    def _over(self) -> Done:
        done = self.done or Done(self.job)
        done.run = done.run or Run(str(self.job.id), self.job)
        done.run.settled = True
        return done

    def judge(self, error: BaseException, tries: int) -> _Next:
        """Return what follows on *error*, which ended this pass."""
        if self.committed:
            logger.error("An on_commit callback of job %s failed; its end is committed", self.job.id, exc_info=error)
            return _Next(self.settled())
        if isinstance(error, _Stale):
            logger.warning("Job %s came from a claim that is no longer ours and was undone", self.job.id)
            return _Next(self._over())
        cause = (error.__cause__ or error) if isinstance(error, Undone | _Doomed) else error
        conflict = is_conflict(cause)
        if conflict and tries < TRIES:
            logger.info("Job %s met another transaction (%s); it runs again at once", self.job.id, cause)
            return _Next()
        away = is_outage(cause) and not conflict and not isinstance(error, _Doomed)
        unknown = self.ended and not isinstance(error, DatabaseError)  # raised into a COMMIT by a signal
        if away or unknown or not self.begun or (conflict and self.doom is not None):
            return _Next(self._give_back(cause))
        if self.doom is None:
            return _Next(doom=cause)
        logger.error("Job %s failed, and so did telling of it: not everybody was told", self.job.id, exc_info=error)
        return _Next(Done(self.job, error=self.doom))

    def _give_back(self, error: BaseException) -> Done:
        """Return an uncharged return: should the commit have happened after all, the fence refuses it."""
        logger.warning("Job %s may not have been committed (%s); it is given back", self.job.id, error)
        try:
            connections[self.alias].close()
        except Exception:
            logger.warning("celeriac: a broken connection to %r would not close", self.alias)
        return Done(self.job, outcome=Outcome(Kind.RETRY, charge=0))


def _is_broken(connection: BaseDatabaseWrapper) -> bool:
    if connection.needs_rollback or connection.closed_in_transaction:
        return True
    info = getattr(connection.connection, "info", None) if connection.vendor == "postgresql" else None
    return info is not None and info.transaction_status == IN_ERROR
