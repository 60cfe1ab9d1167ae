"""Statements that are prepared and sent by libpq's own calls: a caller's INSERT, a worker's claims and ends, the bell.

psycopg's cursor learns each time how to write the values and what came back. For text, numbers and ids that is thirty
functions, in each of which a processor that has just woken finds nothing in its caches
(docs/decisions/0027-hot-statements-go-straight.md).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from itertools import count
from typing import Any, NamedTuple
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["Prepared", "Straight", "goes_ahead", "goes_straight"]

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


def goes_ahead() -> bool:
    """Whether the libpq that psycopg found has the pipeline mode, which came with version 14."""
    libpq = _libpq()
    return libpq is not None and bool(libpq.pipelines)


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
        return self._read(query, self._run(query, params, BINARY if binary else TEXT))

    def fetch_ahead(
        self, query: str, params: Mapping[str, Any], *, binary: bool
    ) -> tuple[list[tuple[Any, ...]], Callable[[], None]]:
        """Run *query* as `fetch` does; return its rows before it is committed, and a function that waits for that.

        Nothing else can be run on the connection before that function was called, once.
        """
        result = self._run(query, params, BINARY if binary else TEXT, ahead=True)
        return self._read(query, result), self._end_pipeline

    def _read(self, query: str, result: Any) -> list[tuple[Any, ...]]:
        reader = self.prepared[query].reader
        reader.set_pgresult(result)
        rows: list[tuple[Any, ...]] = reader.load_rows(0, result.ntuples, tuple)
        reader.set_pgresult(None)  # which may be large
        return rows

    def _run(self, query: str, params: Mapping[str, Any], answer: int, *, ahead: bool = False) -> Any:
        known = self.prepared.get(query)
        name, names, encoding, _ = known or self._prepare(query)
        raw, libpq = self.connection, _libpq()
        values, formats = _bound(map(params.__getitem__, names), encoding, libpq.refused)
        with raw.lock:
            # As psycopg itself waits: signals and green threads have their turn.
            if ahead:
                raw.pgconn.enter_pipeline_mode()
            raw.pgconn.send_query_prepared(name, values, formats, answer)
            if ahead:
                raw.pgconn.send_flush_request()  # before the end of the pipeline, which is the commit
                raw.pgconn.pipeline_sync()
                raw.wait(libpq.send(raw.pgconn))
                result = raw.wait(libpq.fetch(raw.pgconn))
            else:
                [result] = raw.wait(libpq.execute(raw.pgconn))
        if result.status in libpq.fine:
            return result
        if ahead:
            self._end_pipeline()
        error = libpq.error(result, encoding)
        if error.sqlstate == FORGOTTEN:
            self.prepared.clear()
            if known and raw.autocommit:  # what was prepared just now is not forgotten, but another session's
                return self._run(query, params, answer, ahead=ahead)
        raise error

    def _end_pipeline(self) -> None:
        raw, libpq = self.connection, _libpq()
        failed = None
        with raw.lock:
            # One None ends the statement's results, and one what is said of the pipeline's end.
            while (result := raw.wait(libpq.fetch(raw.pgconn))) is None or result.status != libpq.synced:
                if result is not None:
                    failed = result
                elif raw.pgconn.status == libpq.bad:
                    raise libpq.gone("the connection was lost before the commit")
            raw.pgconn.exit_pipeline_mode()
        if failed is not None:
            raise libpq.error(failed, raw.info.encoding)

    def _prepare(self, query: str) -> Prepared:
        names = list(dict.fromkeys(_PLACEHOLDER.findall(query)))
        numbered = _PLACEHOLDER.sub(lambda found: f"${names.index(found[1]) + 1}", query)
        # Never the same again: two of Django's connections may share a session, and each knows but its own.
        name = f"celeriac{next(_NUMBERS)}"
        self.connection.execute(f"PREPARE {name} AS {numbered}")
        made = Prepared(name.encode(), names, self.connection.info.encoding, _libpq().reader(self.connection))
        self.prepared[query] = made
        return made


def _bound(values: Iterable[Any], encoding: str, refused: type[Exception]) -> tuple[list[bytes | None], list[int]]:
    """Return *values* as they are sent, and the format of each."""
    sent: list[bytes | None] = []
    formats = []
    for value in values:
        if isinstance(value, UUID):
            sent.append(value.int.to_bytes(16))
            formats.append(BINARY)
            continue
        text = None if value is None else str(value)
        if text and "\0" in text:
            raise refused("PostgreSQL text cannot contain NUL (0x00) characters")  # libpq would cut it there
        sent.append(None if text is None else text.encode(encoding))
        formats.append(TEXT)
    return sent, formats


class _Libpq:
    """The names of psycopg that this module goes by."""

    def __init__(self) -> None:
        from psycopg import Pipeline
        from psycopg.adapt import Transformer
        from psycopg.errors import DataError, OperationalError, error_from_result
        from psycopg.generators import execute, fetch, send
        from psycopg.pq import ConnStatus, ExecStatus, PipelineStatus, TransactionStatus

        self.execute = execute
        self.fetch = fetch
        self.send = send
        self.error = error_from_result
        self.refused = DataError
        self.gone = OperationalError
        self.bad = ConnStatus.BAD
        self.pipelines = Pipeline.is_supported()
        self.off = PipelineStatus.OFF
        self.synced = ExecStatus.PIPELINE_SYNC
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
