"""The database connections of a thread that runs bodies: kept within a claim, by Django's rules beyond it.

Stock Celery closes every connection before and after each task. A claim is the request here: what Django does at the
start and the end of a request is done at the start and the end of a claim, so `CONN_MAX_AGE` means what it says.
"""

import logging
import threading
from collections.abc import Iterable, Sequence

from django.core.cache import close_caches
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["leave", "refresh", "tidy"]

logger = logging.getLogger("celeriac")


class _Ours(threading.local):
    """The thread's connections, as they were looked up last: asking Django costs a tenth of a quick body."""

    known: Sequence[BaseDatabaseWrapper] = ()


_ours = _Ours()


def _look() -> Sequence[BaseDatabaseWrapper]:
    _ours.known = connections.all(initialized_only=True)
    return _ours.known


def refresh() -> None:
    """Before a claim: drop what is too old or does not answer any more, for no body is at fault for that."""
    try:
        for connection in _look():
            connection.close_if_unusable_or_obsolete()
            if connection.connection is not None and not connection.is_usable():
                _drop(connection)
    except Exception:
        logger.exception("celeriac: the connections for a claim could not be looked after")


def tidy() -> None:
    """Between two jobs: drop a connection that broke, or that a body left inside a transaction."""
    known = _ours.known
    if len(known) < len(connections.settings):  # a body may be the first to use one
        known = _look()
    _drop_spoiled(known)


def leave() -> None:
    """After a claim. What is wrong with a connection or a cache is not the claim's failure."""
    try:
        known = _look()
        _drop_spoiled(known)
        for connection in known:
            connection.close_if_unusable_or_obsolete()
        close_caches()
    except Exception:
        logger.exception("celeriac: the connections of a claim could not be closed")


def _drop_spoiled(some: Iterable[BaseDatabaseWrapper]) -> None:
    for connection in some:
        if connection.connection is None:
            continue
        if connection.errors_occurred or connection.in_atomic_block or not _commits(connection):
            _drop(connection)


def _commits(connection: BaseDatabaseWrapper) -> bool:
    return bool(connection.autocommit == connection.settings_dict["AUTOCOMMIT"])


def _drop(connection: BaseDatabaseWrapper) -> None:
    try:
        connection.close()
    except Exception:
        logger.warning("celeriac: a broken connection to %r would not close", connection.alias)
    if connection.in_atomic_block or connection.connection is not None:
        # Django cannot reopen a connection whose transaction nobody will leave; the next use makes another.
        connection.connection = None
        del connections[connection.alias]
        _ours.known = ()
