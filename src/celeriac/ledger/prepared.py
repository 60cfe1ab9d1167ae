"""Statements that the server plans once for a connection: planning a claim or an insert costs as much as running it.

A plan that is kept is one for whatever the table becomes. An INSERT of values has only one; for claims and ends the
planner is told, on a connection of our own, which to choose (docs/decisions/0023-prepared-statements.md).

Django tells psycopg never to prepare, because a pooler that gives each transaction another session would lose what was
prepared. So it is done for our own statements only, where the connection is proved to be one session of the server.
"""

import weakref
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["cursor", "is_pinned", "is_pooled", "may_prepare", "pin", "watched_cursor"]

#: From this use of a connection on its inserts are prepared: most requests make one or two calls, on a new connection.
USES = 5

#: A plan made while the table is empty would read and hash all of it.
_BY_INDEX = """
    SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_bitmapscan = off;
    SET enable_hashjoin = off; SET enable_mergejoin = off;
"""

#: The statements that are prepared, each on a connection of its own kind, and the settings that leave it one plan.
PINNED = {
    # In the index's order.
    "claim": _BY_INDEX + "SET enable_sort = off",
    # It sorts the few jobs that are freed: in an index's order it would read all there are.
    "finish": _BY_INDEX + "SET enable_sort = on",
}


class _Session:
    __slots__ = ("direct", "pinned", "uses")

    def __init__(self) -> None:
        self.uses = 0
        self.pinned: str | None = None
        self.direct: bool | None = None


#: What is known of each of psycopg's connections.
_sessions: weakref.WeakKeyDictionary[Any, _Session] = weakref.WeakKeyDictionary()


def _session(connection: BaseDatabaseWrapper) -> _Session:
    session = _sessions.get(connection.connection)
    if session is None:
        session = _sessions[connection.connection] = _Session()
    return session


def is_pooled(connection: BaseDatabaseWrapper) -> bool:
    """Whether the project says that a pooler gives each transaction another session.

    DISABLE_SERVER_SIDE_CURSORS is how it tells Django.
    """
    return bool(connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"))


def may_prepare(connection: BaseDatabaseWrapper) -> bool:
    """Whether *connection*, which is open and psycopg's, is and stays one session of the server.

    A pooler gives its clients process numbers of its own making, by which they may cancel; the server's is another.
    """
    return _is_direct(connection, _session(connection))


def _is_direct(connection: BaseDatabaseWrapper, session: _Session) -> bool:
    if session.direct is None:
        raw = connection.connection
        if is_pooled(connection):
            session.direct = False
        else:
            [number] = raw.execute("SELECT pg_backend_pid()").fetchone()
            session.direct = number == raw.info.backend_pid
    return session.direct


def pin(connection: BaseDatabaseWrapper, name: str) -> None:
    """Have this connection, which nobody but us uses, prepare the statement *name* when `execute` runs it first."""
    connection.ensure_connection()
    session = _session(connection)
    if session.pinned == name:
        return
    with connection.wrap_database_errors:
        if may_prepare(connection):
            connection.connection.execute(PINNED[name])
            session.pinned = name


def is_pinned(connection: BaseDatabaseWrapper, name: str) -> bool:
    """Whether `pin` was told of this connection and statement."""
    return connection.connection is not None and _session(connection).pinned == name


def cursor(connection: BaseDatabaseWrapper) -> Any:
    """Return psycopg's cursor for a statement that is to be prepared, past what watches Django's."""
    made = _preparing()(connection.connection)
    if connection.timezone is not None:
        # A third of the time for a claim's rows. Moments without a time zone are Django's making, from text.
        made.format = _binary()
    return made


def watched_cursor(connection: BaseDatabaseWrapper) -> AbstractContextManager[Any]:
    """Return a cursor as `connection.cursor()` does, wrapped as that is, which prepares if it may.

    Where statements are logged it is that one: whoever looks at them wants to see the values.
    """
    connection.ensure_connection()
    session = _session(connection)
    session.uses += 1
    if session.uses < USES or connection.queries_logged or not _is_direct(connection, session):
        return connection.cursor()
    connection.validate_thread_sharing()
    return connection.make_cursor(cursor(connection))


@cache
def _binary() -> Any:
    from psycopg.pq import Format

    return Format.BINARY


@cache
def _preparing() -> Any:
    import psycopg

    class Preparing(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **_: Any) -> Any:
            session = self.connection
            before, session.prepare_threshold = session.prepare_threshold, 0
            try:
                return super().execute(query, params, prepare=True)
            finally:
                session.prepare_threshold = before

    return Preparing
