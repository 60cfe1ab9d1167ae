"""`atomic=True`: where a body's data must live, and the savepoint around the body.

The worker opens the transaction and ends the job in it (`celeriac.worker.atomic`). The savepoint is the body's own:
what it did is undone when an exception leaves it, whichever it is, and what Celery does about the exception is not.
"""

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from celery.exceptions import TaskPredicate
from django.db import DEFAULT_DB_ALIAS, transaction

from celeriac.api.context import running
from celeriac.errors import ConfigurationError
from celeriac.loops import is_conflict, is_outage

__all__ = ["Undone", "alias_of_body", "in_savepoint", "refusal", "require_one_database"]


class Undone(BaseException):
    """The transaction is lost through no fault of the body, which runs again; `__cause__` says what happened.

    No Exception, so that it passes Celery's tracer and autoretry, and nobody is told of a failure that is none.
    """


def alias_of_body(task: Any) -> str:
    """Return the alias that an atomic task's data is on."""
    return DEFAULT_DB_ALIAS if task.atomic is True else str(task.atomic)


def refusal(task: Any, ledger: str) -> str:
    """Return why *task* cannot be atomic with the ledger on the alias *ledger*, with the remedy; "" if it can."""
    alias = alias_of_body(task)
    if alias != ledger:
        return (
            f"{task.name} is atomic with its data on the database {alias!r}, and the ledger is on {ledger!r}: two "
            f"databases share no transaction. Set CELERIAC['DATABASE'] = {alias!r}, or atomic={ledger!r} if that is "
            "where the task's data is."
        )
    if not getattr(task, "durable", True):
        return f"{task.name} is atomic and durable=False: only a job in the ledger can end with its body. Drop one."
    return ""


def require_one_database(tasks: Iterable[Any], ledger: str) -> None:
    """Raise `ConfigurationError` if one of *tasks* is atomic and cannot be."""
    for task in tasks:
        if getattr(task, "atomic", False) and (why := refusal(task, ledger)):
            raise ConfigurationError(why)


def in_savepoint(task: type[Any]) -> Any:
    """Return the class attribute `run` of *task* with a savepoint around it, or a transaction where none is open."""
    run = inspect.getattr_static(task, "run")
    alias = alias_of_body(task)
    if getattr(task.run, "__celeriac_atomic__", False):
        return run  # inherited from an atomic task, or bound before
    if isinstance(run, staticmethod):
        return staticmethod(_around(run.__func__, alias))
    return _around(run, alias)


def _around(body: Callable[..., Any], alias: str) -> Callable[..., Any]:
    @wraps(body)
    def run(*args: Any, **kwargs: Any) -> Any:
        job = running.get()
        if job is None or not job.atomic:
            with transaction.atomic(using=alias):
                return body(*args, **kwargs)
        if job.doom is not None:
            raise job.doom
        left = False
        try:
            with transaction.atomic(using=alias):
                result = body(*args, **kwargs)
                left = True
        except TaskPredicate:
            raise
        except Exception as error:
            if _is_lost(error, left=left):
                raise Undone from error
            raise
        job.returned = True
        return result

    run.__celeriac_atomic__ = True  # type: ignore[attr-defined]
    return run


def _is_lost(error: Exception, *, left: bool) -> bool:
    # A query that fails in the body because the database is away is the body's failure, as in any task. So is a
    # transaction that was idle or open for longer than the server allows (an InternalError, not an outage).
    return is_conflict(error) or (left and is_outage(error))
