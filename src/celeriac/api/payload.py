"""Arguments and results as JSON that comes back exactly as it went in, or is refused at the call.

The form is Celery's: a value JSON does not know is `{"__type__": name, "__value__": …}` (kombu.utils.json), which kombu
already defines for datetime, date, time, Decimal and UUID, and lets a project register more. Added here: tuple, set,
frozenset, bytes, timedelta, and dicts whose keys are not all text. What cannot come back the same (a model instance,
a lazy string, a file, a function) is refused with the name of the argument and what to pass instead.
"""

import base64
import inspect
import io
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from enum import Enum
from typing import Any

from django.core.files.base import File
from django.db.models import Model
from django.db.models.query import QuerySet
from django.utils.functional import Promise
from kombu.utils import json as kombu_json

from celeriac.conf import settings
from celeriac.errors import NotSerializable, PayloadTooLarge

__all__ = ["decode", "encode", "encode_call", "encode_result"]

_encoder: Any = kombu_json.JSONEncoder()
# Made once: json.dumps() and json.loads() with options make one for each call.
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_read = json.JSONDecoder().decode
_ATOMS = frozenset({str, int, float, bool, type(None)})
_TAG = frozenset({"__type__", "__value__"})


class _Refused(Exception):
    """A value has no exact form; carries the path to it and the reason."""

    def __init__(self, value: object, advice: str) -> None:
        super().__init__(advice)
        self.value = value
        self.advice = advice
        self.path: list[str] = []


def _tagged(name: str, value: object) -> dict[str, object]:
    return {"__type__": name, "__value__": value}


def _pack(value: Any) -> Any:
    kind = type(value)
    if kind in _ATOMS:
        return value
    packer = _PACKERS.get(kind)
    return packer(value) if packer is not None else _pack_other(value)


def _pack_items(values: Iterable[Any]) -> list[Any]:
    values = list(values)
    if _ATOMS.issuperset(map(type, values)):  # as most arguments are
        return values
    packed = []
    for index, value in enumerate(values):
        try:
            packed.append(_pack(value))
        except _Refused as refused:
            refused.path.insert(0, f"[{index}]")
            raise
    return packed


def _pack_dict(values: Mapping[Any, Any]) -> Any:
    # A dict that looks like a tag, or has keys JSON would turn into text, is kept as pairs.
    if values.keys() == _TAG or not all(type(key) is str for key in values):
        return _tagged("dict", _pack_items(values.items()))
    packed = {}
    for key, value in values.items():
        try:
            packed[key] = _pack(value)
        except _Refused as refused:
            refused.path.insert(0, f"[{key!r}]")
            raise
    return packed


def _pack_timedelta(value: timedelta) -> Any:
    return _tagged("timedelta", [value.days, value.seconds, value.microseconds])


_PACKERS: dict[type, Callable[[Any], Any]] = {
    list: _pack_items,
    tuple: lambda value: _tagged("tuple", _pack_items(value)),
    dict: _pack_dict,
    set: lambda value: _tagged("set", _pack_items(value)),
    frozenset: lambda value: _tagged("frozenset", _pack_items(value)),
    bytes: lambda value: _tagged("base64", base64.b64encode(value).decode("ascii")),
    timedelta: _pack_timedelta,
}

_UNPACKERS: dict[str, Callable[[Any], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
    "timedelta": lambda value: timedelta(*value),
}


def _advice_against(value: Any) -> str | None:
    """Return what to pass instead of *value*, or None where nothing speaks against it yet."""
    for kind, advice in _REFUSED:
        if isinstance(value, kind):
            return advice
    if inspect.isroutine(value) or inspect.isclass(value):
        return "Pass data, and choose the function in the task."
    if isinstance(value, Enum) and not isinstance(value, str | int):
        return "Pass its value."
    return None


_REFUSED: tuple[tuple[type, str], ...] = (
    (Model, "Pass its primary key and load it in the task, so that the task sees the row as it is when it runs."),
    (QuerySet, "Pass the primary keys of its rows."),
    (Promise, "It is a lazy string; pass str(...) of it, or translate in the task."),
    (io.IOBase, "Save the file and pass its path or the primary key of its row."),
    (File, "Save the file and pass its path or the primary key of its row."),
)


def _pack_other(value: Any) -> Any:
    """Pack a subclass of a known type, or whatever the project registered with kombu; refuse the rest."""
    advice = _advice_against(value)
    if advice is not None:
        raise _Refused(value, advice)
    # The base's own conversion: str() of a text Enum's member is its name.
    for kind, plain in _PLAIN:
        if isinstance(value, kind):
            return plain(value)
    for kind, packer in _PACKERS.items():
        if isinstance(value, kind):
            return packer(value)
    try:
        return _encoder.default(value)
    except TypeError:
        raise _Refused(value, "Pass text, numbers, lists and dicts, or the primary key of a row.") from None


_PLAIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)


def _unpack_tag(pairs: dict[str, Any]) -> Any:
    if pairs.keys() == _TAG:
        unpacker = _UNPACKERS.get(pairs["__type__"])
        return unpacker(pairs["__value__"]) if unpacker else kombu_json.object_hook(pairs)
    return pairs


_read_tagged = json.JSONDecoder(object_hook=_unpack_tag).decode


def encode(value: Any) -> str:
    """Return *value* as JSON text; values are packed exactly (see the module).

    Raises:
        NotSerializable: when some part of it has no exact form.
    """
    if value is None:  # as most results are
        return "null"
    try:
        return _dumps(_pack(value))
    except _Refused as refused:
        where = "".join(refused.path) or "the value"
        raise NotSerializable(f"{where} is {_named(refused.value)}, which cannot be kept. {refused.advice}") from None
    except (RecursionError, ValueError) as error:
        raise NotSerializable(f"The value cannot be kept: {_unwritable(error)}") from None


def _unwritable(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it contains itself, or is nested too deeply"
    return str(error)  # a whole number longer than Python writes out


def decode(text: str) -> Any:
    """Return what `encode` was given."""
    if text == "{}":  # as most keyword arguments are
        return {}
    if '"__type__"' in text:
        return _read_tagged(text)
    return _read(text)


def encode_call(name: str, args: Any, kwargs: Any, run: Callable[..., Any] | None = None) -> tuple[str, str]:
    """Return a call's positional and keyword arguments as JSON text.

    *run* is the task's function where known, to name the parameter that a refused value was passed for.

    Raises:
        NotSerializable: naming the argument and what to pass instead.
        PayloadTooLarge: above CELERIAC["MAX_PAYLOAD_BYTES"].
    """
    try:
        packed_args = _array(args) if args else "[]"
        packed_kwargs = _dumps(_pack_dict(kwargs)) if kwargs else "{}"
    except _Refused as refused:
        argument = _argument(refused.path, kwargs, run)
        raise NotSerializable(
            f"Argument {argument} of task {name} is {_named(refused.value)}, which cannot be kept. {refused.advice}"
        ) from None
    except (RecursionError, ValueError) as error:
        raise NotSerializable(f"The arguments of task {name} cannot be kept: {_unwritable(error)}") from None
    size = _size(packed_args + packed_kwargs)
    limit = settings().MAX_PAYLOAD_BYTES
    if size > limit:
        raise PayloadTooLarge(
            f"The arguments of task {name} take {size:,} bytes; the limit is {limit:,} "
            "(CELERIAC['MAX_PAYLOAD_BYTES']). Keep the data in a file or a row and pass its id."
        )
    return packed_args, packed_kwargs


def encode_result(name: str, value: Any) -> str:
    """Return a task's result as JSON text.

    Raises:
        NotSerializable, PayloadTooLarge: as for arguments.
    """
    try:
        text = encode(value)
    except NotSerializable as error:
        raise NotSerializable(f"The result of task {name} cannot be kept: {error}") from None
    limit = settings().MAX_PAYLOAD_BYTES
    if _size(text) > limit:
        raise PayloadTooLarge(
            f"The result of task {name} takes {_size(text):,} bytes; the limit is {limit:,} "
            "(CELERIAC['MAX_PAYLOAD_BYTES']). Keep the data in a file or a row and return its id."
        )
    return text


def _array(args: Any) -> str:
    if set(map(type, args)) == {int}:  # ids, as most arguments are: the encoder takes five times as long
        return "[" + ",".join(map(repr, args)) + "]"
    return _dumps(_pack_items(args))


def _dumps(packed: Any) -> str:
    text = _compact(packed)
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate: no database takes it, JSON's escape does
        return json.dumps(packed, separators=(",", ":"))
    return text


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8"))


def _named(value: object) -> str:
    kind = type(value)
    if inspect.isroutine(value):
        return f"the function {getattr(value, '__qualname__', value)!s}"
    model = isinstance(value, Model)
    name = f"{kind.__name__} instance (a Django model)" if model else f"{kind.__module__}.{kind.__qualname__}"
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def _argument(path: list[str], kwargs: Mapping[str, Any], run: Callable[..., Any] | None) -> str:
    first, rest = (path[0], "".join(path[1:])) if path else ("?", "")
    for key in kwargs:
        if first == f"[{key!r}]":
            return f"{str(key)!r}{rest}"
    if run is not None:
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        names = [p.name for p in inspect.signature(run).parameters.values() if p.kind in positional]
        index = int(first.strip("[]")) if first.strip("[]").isdigit() else len(names)
        if index < len(names):
            return f"{names[index]!r}{rest}"
    return f"{first}{rest}"
