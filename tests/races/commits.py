"""Commits that fail after their statement has had its answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections


def _do(*statements: str) -> None:
    with connections["default"].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def refused(times: int = 1) -> Iterator[None]:
    """Have the next so many commits of a claim fail: a deferred trigger runs after all else of its transaction."""
    _do(
        "CREATE SEQUENCE commits",  # what it counts is not rolled back
        f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('commits') <= {times} THEN RAISE 'no commit'; END IF; RETURN NULL; END $$""",
        """CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON celeriac_job DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
           WHEN (OLD.state = 'ready' AND NEW.state = 'running') EXECUTE FUNCTION refuse()""",
    )
    try:
        yield
    finally:
        _do("DROP TRIGGER refuse ON celeriac_job", "DROP FUNCTION refuse", "DROP SEQUENCE commits")
