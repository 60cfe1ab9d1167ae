"""announce: once a death, with its teller or not at all."""

from __future__ import annotations

import pytest

from celeriac import faults
from celeriac.ledger.states import State
from tests.ledger_helpers import a_job, ids


def tell(dead):
    return [a_job(task="tell", args=f'["{job.id}"]', queue=job.queue) for job in dead]


def told(ledger):
    return ledger.jobs.filter(task="tell").count()


def test_a_death_is_announced_once(ledger):
    job = ledger.at(State.DEAD)
    count, jobs = ledger.announce(tell)
    assert (count, ids(jobs), told(ledger)) == (
        1,
        list(ledger.jobs.filter(task="tell").values_list("id", flat=True)),
        1,
    )
    assert ledger.row(job).announced
    assert ledger.announce(tell) == (0, [])


@pytest.mark.parametrize("state", [state for state in State if state != State.DEAD])
def test_nothing_else_is(ledger, state):
    ledger.at(state)
    assert ledger.announce(tell) == (0, [])


def test_nobody_has_to_want_to_know(ledger):
    job = ledger.at(State.DEAD)
    assert ledger.announce() == (1, [])
    assert ledger.row(job).announced


def test_at_most_as_many_as_asked(ledger):
    for _ in range(3):
        ledger.at(State.DEAD)
    assert [ledger.announce(tell, limit=2)[0] for _ in range(3)] == [2, 1, 0]
    assert told(ledger) == 3


def test_a_teller_and_its_mark_are_there_together_or_not_at_all(ledger):
    job = ledger.at(State.DEAD)
    with faults.armed("announce.before_marks", _fail), pytest.raises(OSError, match="cut"):
        ledger.announce(tell)
    assert (told(ledger), ledger.row(job).announced) == (0, False)


def _fail():
    raise OSError("cut")
