"""A job's id is its task id; what is no UUID gets one of its own, the same every time."""

from __future__ import annotations

import itertools
import time
import uuid
from unittest import mock

import hypothesis.strategies as st
import pytest
from hypothesis import given

from celeriac.ledger.ids import job_id, key_digest, new_id, new_uuids


@given(st.uuids())
def test_a_uuid_is_itself_as_text_or_not(given_id):
    assert job_id(given_id) == given_id
    assert job_id(str(given_id)) == given_id


@given(st.uuids())
def test_another_spelling_is_another_task(given_id):
    """Celery compares ids as text, so `{…}` and capitals are not the same task."""
    spellings = [given_id.hex, f"{{{given_id}}}", f"urn:uuid:{given_id}", f" {given_id}"]
    spellings += [str(given_id).upper()] if str(given_id).upper() != str(given_id) else []
    ids = {job_id(spelling) for spelling in spellings}
    assert given_id not in ids
    assert len(ids) == len(spellings)


@given(st.text(), st.text())
def test_any_text_has_one_id_and_different_texts_different_ones(one, other):
    assert isinstance(job_id(one), uuid.UUID)
    assert (job_id(one) == job_id(other)) == (one == other)


def test_the_id_of_a_name_never_changes():
    """Rows in databases depend on it."""
    assert job_id("invoice-7") == uuid.uuid5(uuid.UUID("4f9d3a52-6c1e-5b0a-9a77-0ce1e71ac000"), "invoice-7")
    assert job_id(7) == job_id("7")


def test_a_new_id_is_rfc_9562_version_7_in_canonical_text():
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_id())
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= after
    assert job_id(str(made)) == made


@pytest.mark.parametrize("later", [1_000_000, 250_000, 300])
def test_new_ids_sort_by_time_also_within_a_millisecond(later):
    now = 1_790_000_000_123_456_789
    with mock.patch("celeriac.ledger.ids.time.time_ns", side_effect=[now, now + later]):
        first, second = new_id(), new_id()
    assert first < second


def test_new_ids_differ_at_the_same_moment():
    with mock.patch("celeriac.ledger.ids.time.time_ns", return_value=1):
        assert len({new_id() for _ in range(1000)}) == 1000


@pytest.mark.parametrize("clock", [[1], [10**18, 5 * 10**17], [10**18, 10**18 + 1]], ids=["stands", "back", "slow"])
def test_ids_made_together_ascend_whatever_the_clock_does(clock):
    with mock.patch(
        "celeriac.ledger.ids.time.time_ns", side_effect=itertools.chain(clock, itertools.repeat(clock[-1]))
    ):
        made = list(itertools.islice(new_uuids(), 2000))
    assert made == sorted(set(made))
    assert {(id_.version, id_.variant) for id_ in made} == {(7, uuid.RFC_4122)}


def test_the_end_of_a_millisecond_does_not_spill_over():
    with mock.patch("celeriac.ledger.ids.time.time_ns", return_value=999_999):
        made = uuid.UUID(new_id())
    assert (made.int >> 80, made.version, made.variant) == (0, 7, uuid.RFC_4122)


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_a_digest_is_of_one_key_of_one_task(task, key, other_task, other_key):
    same = (task, key) == (other_task, other_key) or "\0" in task + other_task
    assert same or key_digest(task, key) != key_digest(other_task, other_key)
    assert len(key_digest(task, key)) == 32
