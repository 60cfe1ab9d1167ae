"""A caller's INSERT, prepared and sent by libpq's own calls.

It goes through Django's cursor wrapper, so whoever counts or traces a project's statements sees it; but not through
psycopg's cursor, which learns each time how to write the values and what came back. For text, numbers and ids without
an answer that is thirty functions, in each of which a processor that has just woken finds nothing in its caches
(docs/decisions/0027-an-insert-goes-straight.md).
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

__all__ = ["Prepared", "Straight", "goes_straight"]

_PLACEHOLDER = re.compile(r"%\((\w+)\)s")

TEXT, BINARY = 0, 1  # libpq's formats


def goes_straight(raw: Any) -> bool:
    """Whether *raw*, a psycopg connection in one session of the server, takes such a statement now.

    Not if psycopg has to begin a transaction first, nor in a pipeline, nor where the project lets psycopg prepare: then
    it has the session forget, after a rollback, all that was prepared.
    """
    libpq = _libpq()
    if libpq is None or raw.prepare_threshold is not None or raw.pgconn.pipeline_status != libpq.off:
        return False
    return bool(raw.autocommit or raw.pgconn.transaction_status == libpq.in_transaction)


class Prepared(NamedTuple):
    """A statement that a session has prepared: its name there, its placeholders in order, and how text is sent."""

    name: bytes
    names: list[str]
    encoding: str


class Straight:
    """A cursor for one INSERT; *prepared* is what its session, *connection*, has prepared so far."""

    __slots__ = ("connection", "prepared", "rowcount")

    def __init__(self, connection: Any, prepared: dict[str, Prepared]) -> None:
        self.connection = connection
        self.prepared = prepared
        self.rowcount = -1

    def execute(self, query: str, params: Mapping[str, Any]) -> None:
        """Run *query*, whose placeholders are names of *params*: text, numbers, times and UUIDs."""
        name, names, encoding = self.prepared.get(query) or self._prepare(query)
        values: list[bytes | None] = []
        formats = []
        for value in map(params.__getitem__, names):
            if isinstance(value, str):
                # By its length: as text it would end at the first NUL, and not be refused for it.
                values.append(value.encode(encoding))
                formats.append(BINARY)
            elif isinstance(value, UUID):
                values.append(value.bytes)
                formats.append(BINARY)
            else:
                values.append(None if value is None else str(value).encode())
                formats.append(TEXT)
        self._send(name, values, formats)

    def _send(self, name: bytes, values: list[bytes | None], formats: list[int]) -> None:
        raw, libpq = self.connection, _libpq()
        with raw.lock:
            raw.pgconn.send_query_prepared(name, values, formats)
            # As psycopg itself waits: signals and green threads have their turn.
            [result] = raw.wait(libpq.execute(raw.pgconn))
        if result.status != libpq.done:
            raise libpq.error(result, raw.info.encoding)
        self.rowcount = result.command_tuples

    def _prepare(self, query: str) -> Prepared:
        names = list(dict.fromkeys(_PLACEHOLDER.findall(query)))
        numbered = _PLACEHOLDER.sub(lambda found: f"${names.index(found[1]) + 1}", query)
        # Of a session that somebody shares between two of Django's connections each knows but its own.
        name = f"celeriac_{id(self.prepared):x}_{len(self.prepared)}"
        self.connection.execute(f"PREPARE {name} AS {numbered}")
        self.prepared[query] = Prepared(name.encode(), names, self.connection.info.encoding)
        return self.prepared[query]


class _Libpq:
    """The names of psycopg that this module goes by."""

    def __init__(self) -> None:
        from psycopg.errors import error_from_result
        from psycopg.generators import execute
        from psycopg.pq import ExecStatus, PipelineStatus, TransactionStatus

        self.execute = execute
        self.error = error_from_result
        self.off = PipelineStatus.OFF
        self.in_transaction = TransactionStatus.INTRANS
        self.done = ExecStatus.COMMAND_OK


@cache
def _libpq() -> Any:
    """Return them, or None where this psycopg has other ones: they are not all of its documented interface."""
    try:
        return _Libpq()
    except ImportError:
        return None
