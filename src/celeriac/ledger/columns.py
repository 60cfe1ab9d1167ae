"""From rows to the arrays that a set-based statement takes."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

from celeriac.ledger.rows import Failure, NewJob

__all__ = ["alike", "arrays", "batches", "stories"]

#: Rows in one statement: enough to make the round trip small, few enough to keep its locks short.
BATCH = 1000

_TOLD = ("id", "claim_no", "kind", "exception", "message", "traceback", "ran", "ago")
_NOTHING: dict[str, list[Any] | str] = {f"story_{field}": "{}" for field in _TOLD}


def arrays(rows: Sequence[Any]) -> dict[str, list[Any] | str]:
    """Return {field: array of each row's value} for rows of one NamedTuple class."""
    return dict(zip(rows[0]._fields, map(_array, zip(*rows, strict=True)), strict=True))


def _array(values: Sequence[Any]) -> list[Any] | str:
    """Return *values* as PostgreSQL writes an array; the driver takes five times as long, so only the rare go there."""
    kinds = set(map(type, values))
    if kinds == {UUID}:
        return "{" + ",".join([value.hex for value in values]) + "}"
    if kinds <= {int, float, type(None)}:
        return "{" + ",".join(["NULL" if value is None else repr(value) for value in values]) + "}"
    if all(issubclass(kind, str | type(None)) for kind in kinds):
        same = values.count(values[0]) == len(values)
        return "{" + ",".join([_quoted(values[0])] * len(values) if same else map(_quoted, values)) + "}"
    return list(values)


def _quoted(text: str | None) -> str:
    return "NULL" if text is None else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


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


def stories(failures: Sequence[Failure]) -> dict[str, list[Any] | str]:
    """Return what `finish` and `reschedule` take of *failures* beside their own rows."""
    if not failures:
        return _NOTHING
    return {f"story_{field}": _array([getattr(failure, field) for failure in failures]) for field in _TOLD}


def batches(rows: Iterable[Any], size: int = BATCH) -> Iterable[list[Any]]:
    """Return *rows* in lists of at most *size*."""
    if isinstance(rows, list) and 0 < len(rows) <= size:
        return [rows]
    return _batches(rows, size)


def _batches(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
