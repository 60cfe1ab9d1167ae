"""The values that the dead have of a column, found through its index: one look a value, however many jobs have it."""

from celeriac.ledger.database import connection_of

__all__ = ["COLUMNS", "names"]

#: Each has an index over the dead that begins with it.
COLUMNS = ("task", "queue", "exception", "fingerprint")

# The same statement everywhere: each database turns min() with a bound into one look at the index.
_LOOSE = """
    WITH RECURSIVE found (name, n) AS (
        SELECT min({column}), 1 FROM celeriac_job WHERE state = 'dead'
        UNION ALL
        SELECT (SELECT min(j.{column}) FROM celeriac_job j WHERE j.state = 'dead' AND j.{column} > found.name), n + 1
        FROM found WHERE found.name IS NOT NULL AND n < %s
    )
    SELECT name FROM found WHERE name IS NOT NULL
"""


def names(column: str, limit: int = 50, *, using: str | None = None) -> list[str]:
    """Return up to *limit* values of *column* among the dead, in their order.

    Raises:
        ValueError: when no index begins with *column*.
    """
    if column not in COLUMNS:
        raise ValueError(f"The dead are indexed by {', '.join(COLUMNS)}, not by {column}.")
    with connection_of(using).cursor() as cursor:
        cursor.execute(_LOOSE.format(column=column), [limit])
        return [name for (name,) in cursor.fetchall()]
