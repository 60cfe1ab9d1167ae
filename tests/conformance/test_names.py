"""What the dead have of a column, without looking at each of them."""

from __future__ import annotations

import pytest
from django.db import connections

from celeriac.ledger.names import COLUMNS, names
from celeriac.ledger.states import State


@pytest.mark.parametrize("column", COLUMNS)
def test_each_value_once_in_order_and_of_the_dead_only(ledger, column):
    for value in ("b", "a", "b", "c", "a"):
        ledger.at(State.DEAD, **{column: value})
    ledger.given(queue="alive", task="alive")
    assert names(column, using=ledger.alias) == ["a", "b", "c"]
    assert names(column, 2, using=ledger.alias) == ["a", "b"]


def test_no_dead_no_names(ledger):
    assert names("task", using=ledger.alias) == []


def test_a_column_without_an_index_is_refused(ledger):
    with pytest.raises(ValueError, match="indexed by task, queue"):
        names("args", using=ledger.alias)


def test_each_value_is_one_look_at_the_index(ledger, django_assert_num_queries):
    for value in "abc":
        ledger.at(State.DEAD, task=value)
    with django_assert_num_queries(1, connection=connections[ledger.alias]):
        names("task", using=ledger.alias)
