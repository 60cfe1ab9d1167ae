"""Statements that the server plans once for a connection: planning a claim or an insert costs as much as running it.

A plan that is kept is one for whatever the table becomes. An INSERT of values has only one; for claims and ends the
planner is told, on a connection of our own, which to choose (docs/decisions/0023-prepared-statements.md).

Django tells psycopg never to prepare, because a pooler that gives each transaction another session would lose what was
prepared. So it is done for our own statements only, where the connection is proved to be one session of the server.
"""

import weakref
from collections.abc import Mapping
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac.ledger.straight import Prepared, Straight, goes_ahead, goes_straight

__all__ = ["fetch", "fetch_ahead", "is_pooled", "may_prepare", "pin", "watched_cursor"]

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
    "ring": "SET plan_cache_mode = force_generic_plan",
}


class _Session:
    """What is known of one of psycopg's connections."""

    __slots__ = ("direct", "pinned", "prepared", "raw", "uses")

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.uses = 0
        self.pinned: str | None = None
        self.direct: bool | None = None
        self.prepared: dict[str, Prepared] = {}  # by a statement's text


#: By Django's connection, which has one of psycopg's after the other.
_sessions: weakref.WeakKeyDictionary[BaseDatabaseWrapper, _Session] = weakref.WeakKeyDictionary()


def _session(connection: BaseDatabaseWrapper) -> _Session:
    session = _sessions.get(connection)
    if session is None or session.raw is not connection.connection:
        session = _sessions[connection] = _Session(connection.connection)
    return session


def is_pooled(connection: BaseDatabaseWrapper) -> bool:
    """Whether the project says that a pooler gives each transaction another session.

    DISABLE_SERVER_SIDE_CURSORS is how it tells Django.
    """
    return bool(connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"))


def may_prepare(connection: BaseDatabaseWrapper) -> bool:
    """Whether *connection*, which is open and psycopg's, is and stays one session of the server, ours to prepare in.

    A pooler gives its clients process numbers of its own making, by which they may cancel; the server's is another.
    Where the project has psycopg prepare, that has the session forget, after a rollback, all that was prepared.
    """
    return _is_direct(connection, _session(connection))


def _is_direct(connection: BaseDatabaseWrapper, session: _Session) -> bool:
    if session.direct is None:
        raw = session.raw
        if is_pooled(connection) or raw.prepare_threshold is not None:
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


def fetch(connection: BaseDatabaseWrapper, name: str, text: str, params: Mapping[str, Any]) -> Any:
    """Return the rows of the statement *name*, past what watches Django's cursors, or None if it is not pinned here."""
    straight = _straight(connection, name)
    if straight is None:
        return None
    with connection.wrap_database_errors:
        return straight.fetch(text, params, binary=_reads_binary(connection))


def fetch_ahead(connection: BaseDatabaseWrapper, name: str, text: str, params: Mapping[str, Any]) -> Any:
    """Return, as `fetch` does, the rows of the statement *name* before its commit, and a function that waits for that.

    Nothing else can be done on the connection before that function was called, once.
    """
    straight = _straight(connection, name)
    if straight is None or not goes_ahead():
        return None
    with connection.wrap_database_errors:
        rows, commit = straight.fetch_ahead(text, params, binary=_reads_binary(connection))
    return rows, connection.wrap_database_errors(commit)


def _straight(connection: BaseDatabaseWrapper, name: str) -> Straight | None:
    session = _session(connection) if connection.connection is not None else None
    if session is None or session.pinned != name or not goes_straight(connection):
        return None
    return Straight(session.raw, session.prepared)


def _reads_binary(connection: BaseDatabaseWrapper) -> bool:
    # Moments without a time zone are Django's making, from text.
    return connection.timezone is not None


def watched_cursor(connection: BaseDatabaseWrapper) -> Any:
    """Return a cursor for an INSERT, wrapped as `connection.cursor()` is, which prepares if it may.

    Where statements are logged it is Django's own: whoever looks at them wants to see the values.
    """
    if connection.connection is None:
        connection.ensure_connection()
    session = _session(connection)
    session.uses += 1
    if session.uses < USES or connection.queries_logged or not (session.direct or _is_direct(connection, session)):
        return connection.cursor()
    if not goes_straight(connection):
        return connection.cursor()
    cursor: Any = Straight(session.raw, session.prepared)
    return connection.make_cursor(cursor)
