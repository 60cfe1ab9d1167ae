"""From rows to the arrays that a set-based statement takes."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from celeriac.ledger.rows import Failure, NewJob
from celeriac.ledger.states import State

__all__ = ["alike", "arrays", "batches", "stories"]

#: Rows in one statement: enough to make the round trip small, few enough to keep its locks short.
BATCH = 1000

#: Texts that most rows have, in one column or another.
PLAIN = frozenset({"", *State})

_TOLD = ("id", "claim_no", "kind", "exception", "message", "traceback", "ran", "ago")


def arrays(rows: Sequence[Any]) -> dict[str, list[Any] | str]:
    """Return {field: array of each row's value} for rows of one NamedTuple class."""
    return dict(zip(rows[0]._fields, map(_array, zip(*rows, strict=True)), strict=True))


def _array(values: tuple[Any, ...]) -> list[Any] | str:
    """Return *values* as PostgreSQL writes an array where none needs quoting; else the driver looks at each of them."""
    kinds = set(map(type, values))
    if kinds == {UUID}:
        return "{" + ",".join([value.hex for value in values]) + "}"
    if kinds <= {int, float, type(None)}:
        return "{" + ",".join(["NULL" if value is None else repr(value) for value in values]) + "}"
    first = values[0]
    if first in PLAIN and values.count(first) == len(values):
        return "{" + ",".join([f'"{first}"'] * len(values)) + "}"
    return list(values)


def alike(jobs: Sequence[NewJob]) -> dict[str, Any] | None:
    """Return what `insert_alike.sql` takes, or None where *jobs* differ in more than their ids and arguments."""
    columns = dict(zip(NewJob._fields, zip(*jobs, strict=True), strict=True))
    ids, args, kwargs = columns.pop("id"), columns.pop("args"), columns.pop("kwargs")
    if any(values.count(values[0]) < len(values) for values in columns.values()):
        return None
    joined = {"ids": "\n".join([id_.hex for id_ in ids]), "argses": "\n".join(args), "kwargses": "\n".join(kwargs)}
    if any(text.count("\n") >= len(jobs) for text in joined.values()):
        return None  # not our own encoder's JSON
    return {field: values[0] for field, values in columns.items()} | joined


def stories(failures: Sequence[Failure]) -> dict[str, list[Any]]:
    """Return what `finish` and `reschedule` take of *failures* beside their own rows."""
    return {f"story_{field}": [getattr(failure, field) for failure in failures] for field in _TOLD}


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
