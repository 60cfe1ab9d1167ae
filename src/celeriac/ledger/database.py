"""Which database is the ledger, what it can do, and how a statement reaches it."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, QuerySet
from django.db.utils import DatabaseError
from django.utils import timezone
from django.utils.connection import ConnectionDoesNotExist

from celeriac.conf import settings
from celeriac.errors import LedgerMissing, NotMigrated
from celeriac.ledger import prepared

__all__ = [
    "Using",
    "alias_of",
    "can_notify",
    "clock",
    "committed",
    "connection_of",
    "execute",
    "execute_ahead",
    "expect_forks",
    "explain",
    "explained",
    "insert_cursor",
    "is_postgresql",
    "keeps_sessions",
    "locked",
    "poll_seconds",
    "require_tables",
    "statement",
    "unforked",
    "writing",
]

TABLES = ("celeriac_job", "celeriac_attempt", "celeriac_edge", "celeriac_worker", "celeriac_lease", "celeriac_queue")


#: The ledger's database: its alias, or this thread's connection to it, where a caller has that in hand.
Using = str | BaseDatabaseWrapper | None


def alias_of(using: Using = None) -> str:
    """Return the alias that *using* means, or the ledger's."""
    if isinstance(using, BaseDatabaseWrapper):
        return using.alias
    return using or settings().DATABASE


def connection_of(using: Using = None) -> BaseDatabaseWrapper:
    """Return this thread's connection to the ledger.

    Raises:
        LedgerMissing: when the alias is not one of DATABASES.
    """
    if isinstance(using, BaseDatabaseWrapper):
        return using
    alias = alias_of(using)
    try:
        return connections[alias]
    except ConnectionDoesNotExist:
        known = ", ".join(sorted(connections)) or DEFAULT_DB_ALIAS
        raise LedgerMissing(
            f"CELERIAC['DATABASE'] is {alias!r}, which is not in DATABASES ({known}). "
            "Name the alias whose database shall hold the jobs."
        ) from None


def is_postgresql(using: Using = None) -> bool:
    """Whether the ledger has the PostgreSQL statements."""
    return _vendor(alias_of(using)) == "postgresql"


@cache
def _vendor(alias: str) -> str:
    return connection_of(alias).vendor


def can_notify(using: Using = None) -> bool:
    """Whether it is psycopg 3 that talks to the ledger's database: it can ring a bell (LISTEN/NOTIFY), and prepare."""
    return _has_psycopg(alias_of(using))


@cache
def _has_psycopg(alias: str) -> bool:
    connection = connection_of(alias)
    driver: Any = getattr(connection, "Database", None)
    return connection.vendor == "postgresql" and driver.__name__ == "psycopg"


def keeps_sessions(using: str | None = None) -> bool:
    """Whether a connection of ours is one session of the server, for all that the project says."""
    return not prepared.is_pooled(connection_of(using))


def poll_seconds(using: str | None = None) -> float:
    """Return how long to wait without a ring before looking."""
    configured = settings().POLL_SECONDS
    if configured is not None:
        return configured
    return 1.0 if can_notify(using) else 0.1


@cache
def statement(name: str) -> str:
    """Return the text of `sql/postgresql/<name>.sql`."""
    return files("celeriac.ledger").joinpath("sql", "postgresql", f"{name}.sql").read_text("utf-8")


def require_tables(using: str | None = None) -> None:
    """Raise `NotMigrated` unless the ledger's tables exist; needs the database to be up."""
    connection = connection_of(using)
    missing = sorted(set(TABLES) - set(connection.introspection.table_names()))
    if missing:
        raise _not_migrated(connection)


def _not_migrated(connection: BaseDatabaseWrapper) -> NotMigrated:
    flag = "" if connection.alias == DEFAULT_DB_ALIAS else f" --database {connection.alias}"
    return NotMigrated(
        f"The ledger's tables are missing from the database {connection.alias!r}. "
        f"Run: python manage.py migrate celeriac{flag}"
    )


@contextmanager
def explained(using: Using = None) -> Iterator[None]:
    """Turn "no such table" into `NotMigrated`; every other error passes as it is."""
    try:
        yield
    except DatabaseError as error:
        explain(error, using)
        raise


def explain(error: DatabaseError, using: Using = None) -> None:
    """Raise `NotMigrated` if that is what *error* means."""
    if _names_missing_table(error):
        raise _not_migrated(connection_of(using)) from error


def _names_missing_table(error: DatabaseError) -> bool:
    text = str(error)
    return "celeriac_" in text and ("does not exist" in text or "no such table" in text or "doesn't exist" in text)


def execute(name: str, params: dict[str, Any], using: Using = None) -> list[tuple[Any, ...]]:
    """Run the PostgreSQL statement *name* and return its rows.

    Planned for the tables as they are, or once where the connection was pinned to that statement.
    """
    connection = connection_of(using)
    rows: list[tuple[Any, ...]] | None = prepared.fetch(connection, name, statement(name), params)
    if rows is None:
        with connection.cursor() as cursor:
            cursor.execute(statement(name), params)
            rows = cursor.fetchall()
    return rows


def execute_ahead(
    name: str, params: dict[str, Any], using: Using = None
) -> tuple[list[tuple[Any, ...]], Callable[[], None]]:
    """Run a statement as `execute` does; return its rows and a function that returns, or raises, once it is committed.

    On a connection that was pinned to it the rows are there before the commit is. The function is to be called once,
    and nothing else done on the connection before.
    """
    connection = connection_of(using)
    ahead: tuple[list[tuple[Any, ...]], Callable[[], None]] | None
    ahead = prepared.fetch_ahead(connection, name, statement(name), params)
    return ahead or (execute(name, params, connection), committed)


def committed() -> None:
    """Wait for a commit that has been."""


def insert_cursor(connection: BaseDatabaseWrapper) -> Any:
    """Return the cursor for a caller's INSERT on PostgreSQL, on the caller's own *connection*."""
    return prepared.watched_cursor(connection) if _has_psycopg(connection.alias) else connection.cursor()


def clock(using: Using = None) -> datetime:
    """Return the database's time, as Django stores times. SQLite has no other clock than ours."""
    connection = connection_of(using)
    if connection.vendor == "sqlite":
        return timezone.now()
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT clock_timestamp() AT TIME ZONE 'UTC'")
        else:
            cursor.execute("SELECT UTC_TIMESTAMP(6)")
        now: datetime = cursor.fetchone()[0].replace(tzinfo=UTC)
    return now if timezone.now().tzinfo else timezone.make_naive(now, timezone.get_default_timezone())


Row = TypeVar("Row", bound=Model)


def locked(rows: QuerySet[Row], using: str | None = None) -> QuerySet[Row]:
    """Lock *rows*, but those that another has; a database that cannot leave these out locks its tables in `writing`."""
    features = connection_of(using).features
    return rows.select_for_update(skip_locked=True) if features.has_select_for_update_skip_locked else rows


@contextmanager
def writing(using: Using = None) -> Iterator[str]:
    """A transaction that holds SQLite's write lock from its first statement on.

    SQLite refuses at once ("database is locked", no waiting) to turn a transaction that has read into one that writes
    when another writer came between. A first statement that writes nothing takes the lock in turn instead.
    """
    alias = alias_of(using)
    connection = connection_of(using)
    if connection.vendor != "sqlite":
        with transaction.atomic(using=alias):
            yield alias
        return
    with unforked(), transaction.atomic(using=alias):
        if len(connection.savepoint_ids) == 0:
            with connection.cursor() as cursor:
                cursor.execute("UPDATE celeriac_queue SET paused = paused WHERE 0")
        yield alias


#: Held while a thread of a worker's main process is inside of SQLite, reading too. A pool process forked in that moment
#: would inherit SQLite's mutexes and its record of who in the process holds the file's lock, and wait for ever for a
#: thread that it does not have.
_unforked = threading.RLock()
_forks = False
_NOTHING = nullcontext()


def unforked() -> AbstractContextManager[object]:
    """Keep forks of this process away while a thread of it is inside of SQLite; other ledgers do not mind."""
    return _unforked if _forks else _NOTHING


def expect_forks() -> None:
    """Keep what threads of this process do in SQLite (see `unforked`) and its forks apart, from now on."""
    global _forks
    if not _forks and connection_of().vendor == "sqlite":
        _forks = True
        os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)


def _before_fork() -> None:
    if _forks:
        _unforked.acquire()


def _after_fork() -> None:
    if _forks:
        _unforked.release()


def _after_fork_in_child() -> None:
    # A pool process forks nothing, and its atomic bodies hold the file's lock when they come here: the other way round.
    global _forks, _unforked
    _forks, _unforked = False, threading.RLock()
