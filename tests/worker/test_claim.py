"""A claim on its way to a pool process."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import hypothesis.strategies as st
from billiard.reduction import ForkingPickler
from hypothesis import given

from celeriac.ledger.rows import ClaimedJob
from celeriac.worker.executor import Claim

moments = st.datetimes(datetime(1999, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
numbers = st.integers(0, 2**31 - 1)
jobs = st.builds(
    ClaimedJob,
    *(st.uuids(), st.text(), st.text(), st.integers(0, 9), st.text(), st.text(), st.text(), numbers, numbers, numbers),
    *(moments, st.none() | moments, st.booleans(), st.text(), st.none() | st.floats(0, 1e9)),
)
some = st.lists(jobs, min_size=1, max_size=4)
claims = st.builds(Claim, numbers, some, st.text(), numbers, numbers, st.booleans(), st.floats(0.0))


@given(claims)
def test_comes_out_of_the_pipe_as_it_went_in(claim):
    read = pickle.loads(ForkingPickler.dumps(claim))
    assert read == claim
    assert [type(value) for value in read] == [type(value) for value in claim]
    assert [[type(value) for value in job] for job in read.jobs] == [[type(v) for v in job] for job in claim.jobs]
    assert isinstance(read.jobs[0], ClaimedJob)
