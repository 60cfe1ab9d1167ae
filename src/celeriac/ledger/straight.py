"""Statements that are prepared and sent by libpq's own calls: a caller's INSERT, a worker's claims and ends, the bell.

psycopg's cursor learns each time how to write the values and what came back. For text, numbers and ids that is thirty
functions, in each of which a processor that has just woken finds nothing in its caches
(docs/decisions/0027-hot-statements-go-straight.md).
"""

import re
from collections.abc import Mapping
from functools import cache
from itertools import count
from typing import Any, NamedTuple
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["Prepared", "Straight", "goes_straight"]

_PLACEHOLDER = re.compile(r"%\((\w+)\)s")

_NUMBERS = count(1)

TEXT, BINARY = 0, 1  # libpq's formats

#: What PostgreSQL says of a statement that somebody had the session discard (DISCARD ALL, DEALLOCATE ALL).
FORGOTTEN = "26000"


def goes_straight(connection: BaseDatabaseWrapper) -> bool:
    """Whether *connection*, which is psycopg's and one session of the server, takes such a statement now.

    Not if psycopg has to begin a transaction first, nor in a pipeline.
    """
    libpq, pgconn = _libpq(), connection.connection.pgconn
    if libpq is None or pgconn.pipeline_status != libpq.off:
        return False
    return bool(connection.autocommit or pgconn.transaction_status == libpq.in_transaction)


class Prepared(NamedTuple):
    """A statement that a session has prepared: its name there, its placeholders in order, how text is sent and answers
    are read.
    """

    name: bytes
    names: list[str]
    encoding: str
    reader: Any  # psycopg's; it finds out once how to read each column


class Straight:
    """A cursor for one statement; *prepared* is what its session, *connection*, has prepared so far."""

    __slots__ = ("connection", "prepared", "rowcount")

    def __init__(self, connection: Any, prepared: dict[str, Prepared]) -> None:
        self.connection = connection
        self.prepared = prepared
        self.rowcount = -1

    def execute(self, query: str, params: Mapping[str, Any]) -> None:
        """Run *query*, whose placeholders are names of *params*: text, numbers, times and UUIDs. It has no answer."""
        self.rowcount = self._run(query, params, TEXT).command_tuples

    def fetch(self, query: str, params: Mapping[str, Any], *, binary: bool) -> list[tuple[Any, ...]]:
        """Run *query* as `execute` does and return its rows, which psycopg reads in a third of the time if *binary*."""
        result = self._run(query, params, BINARY if binary else TEXT)
        reader = self.prepared[query].reader
        reader.set_pgresult(result)
        rows: list[tuple[Any, ...]] = reader.load_rows(0, result.ntuples, tuple)
        reader.set_pgresult(None)  # which may be large
        return rows

    def _run(self, query: str, params: Mapping[str, Any], answer: int) -> Any:
        known = self.prepared.get(query)
        name, names, encoding, _ = known or self._prepare(query)
        values: list[bytes | None] = []
        formats = []
        raw, libpq = self.connection, _libpq()
        for value in map(params.__getitem__, names):
            if isinstance(value, UUID):
                values.append(value.int.to_bytes(16))
                formats.append(BINARY)
                continue
            text = None if value is None else str(value).encode(encoding)
            if text and b"\0" in text:
                raise libpq.refused("PostgreSQL text cannot contain NUL (0x00) characters")  # libpq would cut it there
            values.append(text)
            formats.append(TEXT)
        with raw.lock:
            raw.pgconn.send_query_prepared(name, values, formats, answer)
            # As psycopg itself waits: signals and green threads have their turn.
            [result] = raw.wait(libpq.execute(raw.pgconn))
        if result.status in libpq.fine:
            return result
        error = libpq.error(result, encoding)
        if error.sqlstate == FORGOTTEN:
            self.prepared.clear()
            if known and raw.autocommit:  # what was prepared just now is not forgotten, but another session's
                return self._run(query, params, answer)
        raise error

    def _prepare(self, query: str) -> Prepared:
        names = list(dict.fromkeys(_PLACEHOLDER.findall(query)))
        numbered = _PLACEHOLDER.sub(lambda found: f"${names.index(found[1]) + 1}", query)
        # Never the same again: two of Django's connections may share a session, and each knows but its own.
        name = f"celeriac{next(_NUMBERS)}"
        self.connection.execute(f"PREPARE {name} AS {numbered}")
        made = Prepared(name.encode(), names, self.connection.info.encoding, _libpq().reader(self.connection))
        self.prepared[query] = made
        return made


class _Libpq:
    """The names of psycopg that this module goes by."""

    def __init__(self) -> None:
        from psycopg.adapt import Transformer
        from psycopg.errors import DataError, error_from_result
        from psycopg.generators import execute
        from psycopg.pq import ExecStatus, PipelineStatus, TransactionStatus

        self.execute = execute
        self.error = error_from_result
        self.refused = DataError
        self.off = PipelineStatus.OFF
        self.in_transaction = TransactionStatus.INTRANS
        self.fine = {ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK}
        self.reader = Transformer


@cache
def _libpq() -> Any:
    """Return them, or None where this psycopg has other ones: they are not all of its documented interface."""
    try:
        return _Libpq()
    except ImportError:
        return None
