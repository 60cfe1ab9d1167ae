"""A bound for what a page asks of the database: some filters no index serves, and whoever waits reloads."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, transaction

from celeriac.ledger.database import alias_of, connection_of, is_postgresql

__all__ = ["SECONDS", "TookTooLong", "in_time"]

#: Measured: of a million jobs the slowest search, for text in all states, takes 1 s.
SECONDS = 5.0

#: SQLSTATE of "canceling statement due to statement timeout".
_CANCELED = "57014"


class TookTooLong(Exception):
    """The database was asked for more than a page is worth."""


@contextmanager
def in_time(seconds: float = SECONDS) -> Iterator[None]:
    """Give up on a statement after so many seconds; on PostgreSQL only.

    Raises:
        TookTooLong: when one was given up on.
    """
    if not is_postgresql():
        yield
        return
    try:
        with transaction.atomic(using=alias_of()):
            with connection_of().cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{seconds * 1000:.0f}ms"])
            yield
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != _CANCELED:
            raise
        raise TookTooLong(
            f"The database was stopped after {seconds:g} s: no index serves these filters, so it looked at every job. "
            "Keep to the dead, or to one task, queue or exception."
        ) from error
