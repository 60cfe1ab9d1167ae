"""What cannot come back the same is refused at the call: which argument, what it is, and what to pass instead."""

from __future__ import annotations

import io
from enum import Enum
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy

from celeriac.api.payload import encode, encode_call, encode_result
from celeriac.errors import NotSerializable
from tests.shop.models import Customer


class Shape(Enum):
    ROUND = (1, 2)


def send(customer, items=(), *rest, note=None, **more):
    """A task's function."""


def message(args=(), kwargs=None, run=send) -> str:
    with pytest.raises(NotSerializable) as raised:
        encode_call("shop.send", args, kwargs or {}, run)
    return str(raised.value)


@pytest.fixture
def opened(tmp_path):
    with (tmp_path / "file").open("w") as file:
        yield file


UNFIT = {
    "model instance": (Customer(id=7), "a Customer instance (a Django model)", "Pass its primary key and load it"),
    "lazy user": (SimpleLazyObject(lambda: User(username="u")), "(a Django model)", "Pass its primary key"),
    "queryset": (Customer.objects.all(), "a django.db.models.query.QuerySet", "Pass the primary keys of its rows."),
    "lazy string": (gettext_lazy("hello"), "__proxy__", "It is a lazy string; pass str(...) of it"),
    "memory file": (io.BytesIO(b"x"), "a _io.BytesIO", "Save the file and pass its path"),
    "upload": (ContentFile(b"x"), "a django.core.files.base.ContentFile", "Save the file and pass its path"),
    "lambda": (lambda: 1, "the function", "Pass data, and choose the function in the task."),
    "method": ("x".upper, "the function str.upper", "Pass data"),
    "class": (Customer, "a django.db.models.base.ModelBase", "Pass data"),
    "enum": (Shape.ROUND, "Shape", "Pass its value."),
    "object": (SimpleNamespace(a=1), "a types.SimpleNamespace", "Pass text, numbers, lists and dicts"),
    "exception": (ValueError("x"), "a builtins.ValueError", "Pass text, numbers, lists and dicts"),
    "generator": ((n for n in ()), "a builtins.generator", "Pass text, numbers, lists and dicts"),
    "complex": (1j, "a builtins.complex", "Pass text, numbers, lists and dicts"),
}


@pytest.mark.parametrize(("value", "kind", "advice"), UNFIT.values(), ids=UNFIT)
def test_it_says_what_it_is_and_what_to_pass_instead(value, kind, advice):
    told = message([value])
    assert told.startswith("Argument 'customer' of task shop.send is ")
    assert kind in told
    assert f"which cannot be kept. {advice}" in told


def test_an_open_file_is_refused(opened):
    assert "Save the file" in message([opened])


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ([object()], {}, "'customer'"),
        ([1, object()], {}, "'items'"),
        ([1, [2, {"a": (3, object())}]], {}, "'items'[1]['a'][1]"),
        ([1, 2, object()], {}, "[2]"),
        ([1, 2, 3, object()], {}, "[3]"),
        ([1], {"note": object()}, "'note'"),
        ([1], {"note": {"deep": [object()]}}, "'note'['deep'][0]"),
        ([1], {"unheard": object()}, "'unheard'"),
        ([], {"customer": [object()]}, "'customer'[0]"),
    ],
)
def test_it_names_the_argument_and_the_way_to_the_value(args, kwargs, named):
    assert message(args, kwargs).startswith(f"Argument {named} of task shop.send is a")


@pytest.mark.parametrize(("args", "named"), [([object()], "[0]"), ([1, [object()]], "[1][0]")])
def test_without_the_function_it_names_the_position(args, named):
    assert message(args, run=None).startswith(f"Argument {named} of task")


def test_sets_and_odd_keys_are_looked_into_as_well():
    assert "'items'" in message([1, {1: object()}])
    assert "'customer'" in message([{object()}])
    assert "'customer'" in message([frozenset([object()])])


def test_a_result_is_refused_as_the_tasks_result():
    with pytest.raises(NotSerializable, match=r"^The result of task shop\.send cannot be kept: \['a'\]\[0\] is a"):
        encode_result("shop.send", {"a": [object()]})
    with pytest.raises(NotSerializable, match=r"^The result of task shop\.send cannot be kept: the value is a"):
        encode_result("shop.send", object())


def test_nothing_is_evaluated_to_find_out(django_assert_num_queries, db):
    with django_assert_num_queries(0), pytest.raises(NotSerializable):
        encode(Customer.objects.all())


@pytest.mark.parametrize("value", ["circle", "tower", "huge"])
def test_what_json_itself_cannot_hold_is_refused_too(value):
    made = {"circle": [], "tower": [], "huge": 10**5000}[value]
    if value == "circle":
        made.append(made)
    if value == "tower":
        for _ in range(100_000):
            made = [made]
    with pytest.raises(NotSerializable):
        encode(made)
