"""Ends of quick bodies gather; and an end that the ledger refuses is an end all the same, to be told from others."""

from __future__ import annotations

import threading

import pytest
from django.db import connections
from django.db.utils import DataError

from celeriac.ledger import dead, prepared
from celeriac.ledger.verbs import finish
from celeriac.outcomes import Kind, Outcome
from celeriac.worker import flusher
from celeriac.worker.report import Done
from tests.ledger_helpers import Ledger, ending

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def picky(monkeypatch):
    """A database that keeps no result."""

    def refuse(endings, stories):
        if any(end.result for end in endings):
            raise DataError("value too long")
        return finish(endings, stories)

    monkeypatch.setattr(flusher, "finish", refuse)


def test_it_is_dead_with_a_reason_and_a_group_of_its_own(picky):
    ledger = Ledger("default")
    refused, other = ledger.running(), ledger.running()
    flusher._finish([ending(refused, "succeeded", result="1"), ending(other, "succeeded")], [])
    assert ledger.values(refused)["reason"] == "unwritable"
    assert ledger.values(other)["state"] == "succeeded"
    [group] = dead.groups()
    assert (group.count, group.exception) == (1, "django.db.utils.DataError")
    assert group.fingerprint  # an empty filter would mean all of the dead


@pytest.fixture
def patient(monkeypatch):
    """A flusher whose quick ends gather for ever, and what it writes: how many at a time."""
    monkeypatch.setattr(flusher, "GATHER_SECONDS", None)
    writes, wrote = [], threading.Event()

    def count(endings, stories):
        writes.append(len(endings))
        finished = finish(endings, stories)
        connections.close_all()  # the thread's own, which outlives the test
        wrote.set()
        return finished

    monkeypatch.setattr(flusher, "finish", count)
    monkeypatch.setattr(flusher.bell, "ring_done", lambda: None)
    return flusher.flusher(), writes, wrote


def quick(job, ran=0.0):
    return Done(job, outcome=Outcome(Kind.IGNORED), ran=ran)


def test_the_ends_of_quick_bodies_share_a_statement(patient):
    ledger, (flush, writes, _) = Ledger("default"), patient
    jobs = ledger.running_many(5)
    for job in jobs:
        flush.put(quick(job))
    flush.wait()
    assert writes == [5]
    assert {ledger.state(job) for job in jobs} == {"succeeded"}


def pinned_on(connection) -> str | None:
    return prepared._session(connection).pinned


def test_its_connection_plans_the_end_of_jobs_once(patient, monkeypatch):
    """Also the next one, when the first was cut: `patient` closes it after each write."""
    ledger, (flush, _, _), pinned = Ledger("default"), patient, []
    write = flusher.finish
    monkeypatch.setattr(
        flusher, "finish", lambda *ends: pinned.append(pinned_on(connections["default"])) or write(*ends)
    )
    for job in ledger.running_many(2):
        flush.put(quick(job))
        flush.wait()
    assert pinned == ["finish", "finish"]
    assert pinned_on(connections["default"]) is None  # nobody else's does


def test_the_end_of_a_slow_body_waits_for_nobody(patient):
    """To run it again for want of the record would cost too much."""
    ledger, (flush, writes, wrote) = Ledger("default"), patient
    first, second = ledger.running_many(2)
    flush.put(quick(first))
    flush.put(quick(second, ran=flusher.QUICK_SECONDS))
    assert wrote.wait(10.0)
    flush.wait()
    assert sum(writes) == 2
