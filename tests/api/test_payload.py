"""Arguments and results come back exactly as they went in."""

from __future__ import annotations

import json
import uuid
from collections import Counter, OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import NamedTuple

import hypothesis.strategies as st
import pytest
from django.utils.safestring import mark_safe
from hypothesis import HealthCheck, example, given, settings
from kombu.exceptions import EncodeError

from celeriac.api.payload import decode, encode, encode_call, encode_result
from celeriac.errors import PayloadError, PayloadTooLarge

# Text as Python may hold it: NUL, and the lone surrogates of a file name that is not UTF-8 (PEP 383).
characters = st.characters(exclude_categories=["Cs"]) | st.sampled_from(["\0", "\udc80", "\udcff", "\u2028", "🥕"])
text = st.text(characters, max_size=12)
zones = st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30)), timezone(timedelta(hours=14))])
keys = st.one_of(
    text,
    st.integers(),
    st.booleans(),
    st.none(),
    st.uuids(),
    st.dates(),
    st.tuples(text, st.integers()),
    st.sampled_from(["__type__", "__value__"]),
)
atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    text,
    st.binary(max_size=12),
    st.uuids(),
    st.datetimes(),
    st.datetimes(timezones=zones),
    st.dates(),
    st.times(),
    st.decimals(allow_nan=False),
    st.timedeltas(),
)
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(keys, max_size=4),
        st.frozensets(keys, max_size=4),
        st.dictionaries(text, inner, max_size=4),
        st.dictionaries(keys, inner, max_size=4),
        st.fixed_dictionaries({"__type__": st.sampled_from(["tuple", "uuid", "x"]) | inner, "__value__": inner}),
    ),
    max_leaves=12,
)
thorough = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def same(one, other) -> bool:
    """Equal, and of equal types all the way down: 1 is not True, nor 1.0, nor a tuple a list."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        pairs = {(type(key), key): value for key, value in other.items()}
        return len(one) == len(other) and all(
            (type(key), key) in pairs and same(value, pairs[type(key), key]) for key, value in one.items()
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and repr(one) == repr(other) if isinstance(one, float) else one == other


@thorough
@given(values)
@example({"__type__": "tuple", "__value__": [1, 2]})
@example({"__type__": "uuid", "__value__": "no uuid"})
@example({"__type__": 1, "__value__": {"__type__": "x", "__value__": ()}})
@example({1: "a", "1": "b", None: "c", (1, 2): {3}, frozenset(): b""})
@example({True: -0.0, False: 0.0})
@example([float("inf"), float("-inf"), -0.0, 10**400, "\0", "\udc80"])
@example(
    (
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        date.min,
        time.max,
        timedelta.max,
        timedelta.min,
        Decimal("-0E-30"),
    )
)
def test_what_goes_in_comes_out(value):
    packed = encode(value)
    assert same(decode(packed), value)


@thorough
@given(values)
def test_every_database_takes_the_text(value):
    packed = encode(value)
    assert "\0" not in packed
    packed.encode("utf-8")
    json.loads(packed)


@given(st.lists(values, max_size=3), st.dictionaries(text, values, max_size=3))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_call_comes_back_as_a_list_and_a_dict(args, kwargs):
    packed_args, packed_kwargs = encode_call("shop.noop", args, kwargs)
    assert same(decode(packed_args), args)
    assert same(decode(packed_kwargs), kwargs)
    assert encode_call("shop.noop", tuple(args), kwargs) == (packed_args, packed_kwargs)


@given(st.lists(st.integers() | st.booleans(), min_size=1))
def test_ids_take_a_shorter_way_to_the_same_text(args):
    assert encode_call("shop.noop", args, {}) == (encode(args), "{}")


def test_plain_json_stays_plain_so_that_people_and_other_languages_read_it():
    assert encode({"a": [1, 2.5, None, True, "ů"]}) == '{"a":[1,2.5,null,true,"ů"]}'


def test_a_keyword_argument_that_spells_a_tag_is_one():
    kwargs = {"__type__": 1, "__value__": 2}
    assert decode(encode_call("shop.noop", (), kwargs)[1]) == kwargs


class Point(NamedTuple):
    x: int
    y: int


ID = "12345678-1234-5678-1234-567812345678"


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (mark_safe("<b>"), "<b>"),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (OrderedDict(a=1), {"a": 1}),
        (Counter("aab"), {"a": 2, "b": 1}),
        (Point(1, 2), (1, 2)),
        (
            type("Id", (uuid.UUID,), {})(ID),
            uuid.UUID(ID),
        ),
    ],
    ids=["SafeString", "StrEnum", "IntEnum", "OrderedDict", "Counter", "namedtuple", "UUID subclass"],
)
def test_a_subclass_of_a_known_type_comes_back_as_that_type(value, plain):
    assert same(decode(encode(value)), plain)


class TestSize:
    def test_a_call_above_the_limit_is_refused_with_advice(self, settings):
        settings.CELERIAC = {"MAX_PAYLOAD_BYTES": 1000}
        with pytest.raises(PayloadTooLarge) as raised:
            encode_call("shop.noop", ["x" * 1000], {})
        told = str(raised.value)
        assert "task shop.noop take 1,006 bytes; the limit is 1,000" in told
        assert "pass its id" in told

    def test_the_limit_itself_is_allowed_and_counts_args_and_kwargs_together(self, settings):
        settings.CELERIAC = {"MAX_PAYLOAD_BYTES": 100}
        size = sum(map(len, encode_call("shop.noop", ["x" * 40], {"a": ""})))
        encode_call("shop.noop", ["x" * 40], {"a": "y" * (100 - size)})
        with pytest.raises(PayloadTooLarge):
            encode_call("shop.noop", ["x" * 40], {"a": "y" * (101 - size)})

    def test_bytes_are_counted_not_characters(self, settings):
        settings.CELERIAC = {"MAX_PAYLOAD_BYTES": 100}
        encode_result("shop.noop", "u" * 90)
        with pytest.raises(PayloadTooLarge, match=r"result of task shop\.noop takes 182 bytes"):
            encode_result("shop.noop", "ů" * 90)


def test_celery_knows_the_errors_as_its_own():
    assert issubclass(PayloadError, EncodeError)
