"""`self.once(name, fn)`: an effect outside of the database, had once in all the runs of a job, or known to be in doubt.

What it did is an entry in the ledger, begun and committed before *fn* is called, done after it. A later run finds it
done, and returns what was recorded; or begun only, and then nobody here knows whether the other side heard of it. That
is said (`InDoubt`) and not guessed: the body asks the other side, with the key it asked with.
"""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from hashlib import blake2b
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction

from celeriac.api import payload
from celeriac.api.context import Run, current_run
from celeriac.api.enqueue import on_helper
from celeriac.errors import InDoubt, NotSerializable, OpenTransaction
from celeriac.ledger import effects
from celeriac.ledger.database import alias_of, connection_of
from celeriac.ledger.effects import Owner
from celeriac.loops import insist, is_outage

__all__ = ["idempotency_key", "once"]

logger = logging.getLogger("celeriac")

#: As long as the column.
LONGEST = 100

#: How long an entry written beside an open transaction waits for a lock.
LOCK_SECONDS = 10

#: What the other side is told is a header: printable ASCII, and Stripe takes no more of it.
LONGEST_KEY = 255

_name: ContextVar[str] = ContextVar("celeriac_once", default="")


class _Call:
    """One call of `once` in the run of a job."""

    def __init__(self, run: Run, name: str, body: Callable[[], Any], doubtful: tuple[type[BaseException], ...]) -> None:
        self.run = run
        self.name = name
        self.body = body
        self.doubtful = doubtful
        self.owner = Owner(run.job.id, run.job.claim_no)

    def write(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do *act* on the entry in a transaction of its own, whatever is open here: what happened, happened."""
        written = partial(act, self.owner, self.name, *args, **kwargs)
        connection = connection_of()
        if not connection.in_atomic_block:
            return written()
        if connection.vendor == "sqlite":
            raise OpenTransaction(
                f"once({self.name!r}) was called inside of a transaction on {alias_of()!r}, which is SQLite: that has "
                "one writer, so what was begun cannot be kept apart from the transaction. Call it outside of the "
                "transaction and, if the task is atomic=True, from a task that is not."
            )
        return on_helper(_apart, written)

    def answer(self) -> Any:
        entry: effects.Entry | None = self.write(effects.begin)
        if entry is None:
            return self.go()
        if entry.done:
            return payload.decode(entry.result or "null")
        key = _key(self.run, self.name)
        raise InDoubt(
            f"{self.run.job.task}[{self.run.task_id}] began {self.name!r} at {entry.begun_at.isoformat()}, and it is "
            f"not known whether that happened. Ask the other side for the key {key!r}, then record() or repeat().",
            key=key,
            name=self.name,
            begun_at=entry.begun_at,
            call=self,
        )

    def repeat(self) -> Any:
        self.write(effects.begin_again)
        return self.go()

    def go(self) -> Any:
        """Call the function, whose entry is begun, and record how it went."""
        token = _name.set(self.name)
        try:
            value = self.body()
        except self.doubtful:
            raise
        except Exception:
            self._undo()  # the exception says that it did not happen
            raise
        finally:
            _name.reset(token)
        return self.record(value)

    def _undo(self) -> None:
        try:
            self.write(effects.undo)
        except Exception:  # the function's own is how this went
            logger.warning("once(%r) of job %s stays in doubt", self.name, self.run.task_id, exc_info=True)

    def record(self, value: Any, *, whoever: bool = False) -> Any:
        try:
            result = payload.encode(value)
        except NotSerializable as error:
            raise NotSerializable(
                f"once({self.name!r}) of task {self.run.job.task} came to a value that cannot be kept, so what "
                f"happened stays in doubt. Return what the job needs of it, as JSON. {error}"
            ) from error
        try:
            self.write(effects.done, result, whoever=whoever)
        except Exception as error:
            if not is_outage(error):
                raise
            # It happened, and only this thread knows: an outage or a deadlock is waited out, as for any end of a run.
            written = partial(effects.done, self.owner, self.name, result, whoever=whoever)
            on_helper(insist, "celeriac once", partial(_apart, written))
        return value


def once(
    task: Any, name: str, body: Callable[[], Any], doubtful: type[BaseException] | tuple[type[BaseException], ...]
) -> Any:
    """Do as `Task.once` says."""
    if not 0 < len(name) <= LONGEST:
        raise ValueError(f"The name of an effect is a text of 1 to {LONGEST} characters, not {name!r}")
    run = _run_of(task)
    if run is not None:
        some = doubtful if isinstance(doubtful, tuple) else (doubtful,)
        # A soft limit is raised wherever the function happens to be: it says nothing of what was sent.
        return _Call(run, name, body, (*some, SoftTimeLimitExceeded)).answer()
    token = _name.set(name)
    try:
        return body()
    finally:
        _name.reset(token)


def idempotency_key(task: Any) -> str | None:
    """Do as `Task.idempotency_key` says."""
    run = _run_of(task)
    if run is not None:
        return _key(run, _name.get())
    return _with_step(str(task.request.id), _name.get()) if task.request.id else None


def _run_of(task: Any) -> Run | None:
    # A task that a body calls as a function has a request of its own, without an id; one it applies has another id.
    id_ = task.request.id
    return current_run(id_) if id_ and not task.request.is_eager else None


def _key(run: Run, name: str) -> str:
    return _with_step(f"{run.job.task}:{run.job.key}" if run.job.key else run.task_id, name)


def _with_step(key: str, name: str) -> str:
    key = f"{key}/{name}" if name else key
    if len(key) <= LONGEST_KEY and key.isascii() and key.isprintable():
        return key
    # Refused by the other side, or no header at all: what tells it from others is its digest then.
    readable = "".join(char for char in key if char.isascii() and char.isprintable())
    return f"{readable[: LONGEST_KEY - 33]}#{blake2b(key.encode(), digest_size=16).hexdigest()}"


def _apart(written: Callable[[], Any]) -> Any:
    connection = connection_of()
    try:
        if connection.vendor != "postgresql":
            return written()
        with transaction.atomic(using=connection.alias):
            with connection.cursor() as cursor:
                # Should the open transaction hold the job's own row, as after a revoke() of itself, it waits for us and
                # we for it, and no server sees that.
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_SECONDS}s"])
            return written()
    finally:
        # By Django's rules: kept as long as CONN_MAX_AGE says, which no request's end would look at in this thread.
        connection.close_if_unusable_or_obsolete()
