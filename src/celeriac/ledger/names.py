"""The values that the jobs of a state have of a column, through its index: one look a value, however many have it."""

from celeriac.ledger.database import connection_of
from celeriac.ledger.states import State

__all__ = ["COLUMNS", "INDEXED", "MOST", "names"]

#: By state, the columns that an index over its jobs begins with.
INDEXED = {
    State.DEAD: ("task", "queue", "exception", "fingerprint"),
    State.READY: ("queue",),
    State.WAITING: ("task",),
}

COLUMNS = INDEXED[State.DEAD]

#: As many as there can be tasks and queues; what has more is no name.
MOST = 100_000

# The state is in the text, not a parameter: partial indexes are found by it. Not min(): with a condition besides,
# MariaDB reads on where this stops at the first.
_LOOSE = """
    WITH RECURSIVE found (name, n) AS (
        SELECT (SELECT {column} FROM celeriac_job WHERE state = '{state}' ORDER BY {column} LIMIT 1), 1
        UNION ALL
        SELECT (
            SELECT j.{column} FROM celeriac_job j WHERE j.state = '{state}' AND j.{column} > found.name
            ORDER BY j.{column} LIMIT 1
        ), n + 1
        FROM found WHERE found.name IS NOT NULL AND n < %s
    )
    SELECT name FROM found WHERE name IS NOT NULL
"""


def names(column: str, limit: int = 50, *, state: State = State.DEAD, using: str | None = None) -> list[str]:
    """Return up to *limit* values of *column* among the jobs of *state*, in their order.

    Raises:
        ValueError: when no index begins with *column*.
    """
    if column not in INDEXED.get(state, ()):
        known = ", ".join(INDEXED.get(state, ())) or "nothing"
        raise ValueError(f"Jobs that are {state} are indexed by {known}, not by {column}.")
    with connection_of(using).cursor() as cursor:
        cursor.execute(_LOOSE.format(column=column, state=state.value), [limit])
        return [name for (name,) in cursor.fetchall()]
