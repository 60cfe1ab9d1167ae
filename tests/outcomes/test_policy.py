"""Policies: how long a job waits before it is tried again, and when it is not."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import given

from celeriac.outcomes import Policy, wait_before_retry
from celeriac.outcomes.policy import LEAST, LONGEST_ASKED

seconds = st.floats(0, 1e6)
policies = st.builds(
    Policy,
    max_retries=st.none() | st.integers(0, 100),
    delay=seconds,
    factor=st.floats(1, 100),
    max_delay=seconds,
    jitter=st.booleans(),
    retry_for=st.none() | seconds,
)
rolls = st.floats(0, 1, exclude_max=True)
retries = st.integers(0, 5000)


@given(policies, retries, rolls)
def test_a_wait_is_never_longer_than_the_cap_and_never_shorter_than_a_tenth(policy, tried, roll):
    longest = policy.longest(tried)
    assert 0 <= longest <= policy.max_delay
    assert longest * LEAST * 0.999 <= policy.wait(tried, roll) <= longest


@given(policies, retries)
def test_waits_grow_until_the_cap_and_stay_there(policy, tried):
    assert policy.longest(tried) <= policy.longest(tried + 1) <= policy.max_delay
    assert policy.longest(0) == min(policy.delay, policy.max_delay)


@given(policies, retries, rolls)
def test_without_jitter_chance_has_no_say(policy, tried, roll):
    if not policy.jitter:
        assert policy.wait(tried, roll) == policy.longest(tried)


def test_backoff_doubles_up_to_the_cap():
    policy = Policy(delay=1, max_delay=60, jitter=False)
    assert [policy.wait(tried, 0.5) for tried in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_ten_thousand_failures_at_once_come_back_evenly_over_nine_tenths_of_the_wait():
    dice, policy = Random(7), Policy(delay=100, max_delay=100)
    waits = [policy.wait(0, dice.random()) for _ in range(10_000)]
    assert 10 <= min(waits) < 11
    assert 99 < max(waits) <= 100
    tenths = Counter(int((wait - 10) // 9) for wait in waits)
    assert set(tenths) == set(range(10))
    # 1,000 in each; five standard deviations of a binomial are 150.
    assert all(850 < count < 1150 for count in tenths.values())


@given(policies, retries, rolls, seconds, st.none() | st.floats(0, 1e7))
def test_a_retry_is_within_both_limits_and_heeds_what_was_asked(policy, tried, roll, failing_for, asked):
    wait = wait_before_retry(policy, tried, roll, failing_for=failing_for, asked=asked)
    if policy.max_retries is not None and tried >= policy.max_retries:
        assert wait is None
    elif wait is None:
        assert policy.retry_for is not None
        assert failing_for >= policy.retry_for or asked > policy.retry_for - failing_for
    else:
        assert wait >= 0
        if policy.retry_for is not None:
            assert failing_for + wait <= policy.retry_for * 1.000001
        if asked is not None:
            assert wait >= min(asked, LONGEST_ASKED)


@given(st.integers(1, 20))
def test_a_job_is_tried_once_more_than_it_is_retried(most):
    policy = Policy(max_retries=most)
    waits = [wait_before_retry(policy, tried, 0.5) for tried in range(most + 1)]
    assert [wait is None for wait in waits] == [False] * most + [True]


def test_the_last_wait_is_cut_to_what_is_left_of_the_budget():
    policy = Policy(max_retries=None, delay=60, factor=1, jitter=False, retry_for=timedelta(minutes=2))
    assert [wait_before_retry(policy, 9, 0.0, failing_for=since) for since in (0, 60, 90, 119, 120, 500)] == [
        *(60, 60, 30, 1),
        *(None, None),
    ]


def test_who_is_told_to_come_after_the_budget_gives_up():
    policy = Policy(max_retries=None, retry_for=60)
    assert wait_before_retry(policy, 0, 0.5, failing_for=20, asked=40) == 40
    assert wait_before_retry(policy, 0, 0.5, failing_for=20, asked=41) is None


def test_times_may_be_timedeltas():
    policy = Policy(delay=timedelta(minutes=1), max_delay=timedelta(hours=1), retry_for=timedelta(days=1))
    assert (policy.longest(0), policy.longest(50)) == (60, 3600)


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"max_retries": -1}, "max_retries"),
        ({"max_retries": 1.5}, "max_retries"),
        ({"max_retries": True}, "max_retries"),
        ({"delay": -1}, "delay"),
        ({"delay": None}, "delay"),
        ({"delay": float("inf")}, "delay"),
        ({"factor": 0.5}, "factor"),
        ({"max_delay": "600"}, "max_delay"),
        ({"retry_for": timedelta(seconds=-1)}, "retry_for"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(wrong, names):
    with pytest.raises(ValueError, match=names):
        Policy(**wrong)


def test_waits_in_a_row_never_shrink_even_where_floats_overflow():
    policy = Policy(max_retries=None, delay=1e-3, factor=99.0, max_delay=1e6)
    waits = [policy.longest(tried) for tried in range(400)]
    assert all(first <= second for first, second in pairwise(waits))
    assert Policy(delay=0, factor=99.0).longest(400) == 0


def test_those_who_were_told_the_same_time_do_not_come_back_at_the_same_time():
    dice, policy = Random(7), Policy(delay=1)
    waits = [wait_before_retry(policy, 0, dice.random(), asked=30) for _ in range(1000)]
    assert 30 <= min(waits) < 30.1
    assert 32.9 < max(waits) <= 33
    assert wait_before_retry(Policy(delay=1, jitter=False), 0, 0.5, asked=30) == 30
