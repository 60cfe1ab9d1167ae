"""Other arguments are checked against the task, and the difference is told by the names of its parameters."""

from __future__ import annotations

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st

from celeriac.api.edit import edited
from celeriac.api.payload import decode, encode_call
from celeriac.errors import NotSerializable, WrongArguments
from celeriac.ledger.models import Job

app = Celery("edits", set_as_current=False)


@app.task(name="pay", bind=True)
def pay(self, customer, amount=0, *, note=None):
    """A task of its own app: what is bound is no argument."""


@app.task(name="any", typing=False)
def anything(one):
    """A task that asks for no check."""


@app.task(name="rest")
def rest(first, *others, **more):
    """A task that takes what comes."""


def a_job(task="pay", args=(7,), kwargs=None):
    packed = encode_call(task, args, kwargs or {})
    return Job(task=task, args=packed[0], kwargs=packed[1])


def test_what_is_not_given_stays():
    job = a_job(args=(7, 10))
    assert edited(app, job) == (job.args, job.kwargs, {})
    assert edited(app, job, args=[8, 10]) == ("[8,10]", "{}", {"customer": [7, 8]})
    assert edited(app, job, kwargs={"note": "x"}) == ("[7,10]", '{"note":"x"}', {"note": [None, "x"]})


def test_by_place_or_by_name_is_no_difference():
    assert edited(app, a_job(), args=[], kwargs={"customer": 7})[2] == {}


def test_what_is_gone_is_none_after():
    assert edited(app, a_job(args=(7, 10)), args=[7])[2] == {"amount": [10, None]}


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ([], {}, "customer"),
        ([7], {"nots": 1}, "nots"),
        ([7], {"customer": 8}, "customer"),
        ([1, 2, 3], {}, "positional"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(args, kwargs, named):
    with pytest.raises(WrongArguments, match=rf"Task pay does not take these arguments: .*{named}"):
        edited(app, a_job(), args, kwargs)


def test_what_cannot_be_kept_is_refused_by_name():
    with pytest.raises(NotSerializable, match="Argument 'amount' of task pay"):
        edited(app, a_job(), [7, object()])


def test_no_check_where_there_is_none():
    assert edited(app, a_job("any", (1,)), [1, 2])[2] == {"[1]": [None, 2]}
    assert edited(app, a_job("unknown", (1,)), [2], {"x": 3})[2] == {"[0]": [1, 2], "x": [None, 3]}


def test_more_than_the_names():
    assert edited(app, a_job("rest", (1, 2)), [1, 3], {"x": 4})[2] == {"[1]": [2, 3], "x": [None, 4]}


def test_a_kind_of_number_is_a_difference():
    assert edited(app, a_job(args=(1,)), [True])[2] == {"customer": [1, True]}


values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text() | st.tuples(st.integers())
calls = st.tuples(st.lists(values, max_size=4), st.dictionaries(st.text(max_size=3), values, max_size=3))


@given(calls, calls)
def test_the_difference_is_empty_exactly_where_nothing_is_other(before, after):
    job = a_job("unknown", *before)
    args, kwargs, diff = edited(app, job, *after)
    assert (args, kwargs) == encode_call("unknown", *after)
    assert decode(args) is not None
    if "[0]" not in {*before[1], *after[1]}:
        assert (diff == {}) == ((args, sorted(kwargs)) == (job.args, sorted(job.kwargs)))
