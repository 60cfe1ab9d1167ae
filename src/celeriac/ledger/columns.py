"""From rows to the arrays that a set-based statement takes."""

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["arrays", "batches"]

#: Rows in one statement: enough to make the round trip small, few enough to keep its locks short.
BATCH = 1000


def arrays(rows: Sequence[Any]) -> dict[str, list[Any]]:
    """Return {field: [value of each row]} for rows of one NamedTuple class."""
    return dict(zip(rows[0]._fields, map(list, zip(*rows, strict=True)), strict=True))


def batches(rows: Iterable[Any], size: int = BATCH) -> Iterable[list[Any]]:
    """Yield *rows* in lists of at most *size*."""
    batch: list[Any] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
