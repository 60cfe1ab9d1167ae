"""What a set-based statement is given as arrays comes to PostgreSQL as it was."""

from __future__ import annotations

from datetime import UTC
from typing import Any, NamedTuple

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from celeriac.ledger.columns import arrays
from celeriac.ledger.states import State


class Row(NamedTuple):
    value: Any


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8) | st.sampled_from(
    ["NULL", "", "{}", *State]
)
COLUMNS = {
    "uuid": st.uuids(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "float8": st.floats(allow_nan=False) | st.integers(0, 2**50),
    "bool": st.booleans(),
    "text": texts,
    "timestamptz": st.datetimes(timezones=st.just(UTC)),
}


@st.composite
def columns(draw) -> tuple[str, list[Any]]:
    kind = draw(st.sampled_from(sorted(COLUMNS)))
    of = draw(st.sampled_from([COLUMNS[kind], st.none() | COLUMNS[kind], draw(COLUMNS[kind].map(st.just))]))
    return kind, draw(st.lists(of, min_size=1, max_size=5))


@pytest.mark.django_db
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(column=columns())
def test_an_array_arrives_as_it_was(column):
    kind, values = column
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT %(value)s::{kind}[]", arrays([Row(value) for value in values]))
        assert cursor.fetchone()[0] == values
