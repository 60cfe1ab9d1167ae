"""admit: waiting → ready, for the first in line of each lane whose turn nobody has."""

from __future__ import annotations

from datetime import timedelta

import pytest

from celeriac.ledger.rows import Sighting
from celeriac.ledger.states import ENDED
from tests.ledger_helpers import HOUR, WORKER, a_job, back, ending, ids


def lined(ledger, lane="a", **fields):
    return ledger.given(lane=lane, **{"reason": "exclusive", **fields})


def ready(ledger):
    return set(ledger.jobs.filter(state="ready").values_list("id", flat=True))


def place(ledger, job):
    row = ledger.row(job)
    return row.state, row.reason, row.turn


def test_the_first_of_each_lane_gets_its_turn(ledger):
    first, second = lined(ledger), lined(ledger)
    other = lined(ledger, "b", queue="r")
    assert ledger.claim() == []
    assert ledger.admit() == {"q": 1, "r": 1}
    assert [place(ledger, job) for job in (first, other)] == [("ready", "", "a"), ("ready", "", "b")]
    assert place(ledger, second) == ("waiting", "exclusive", None)


def test_nobody_in_line_is_nobody_admitted(ledger):
    ledger.given()
    ledger.given(reason="event")
    assert ledger.admit() == {}


def test_the_line_is_by_urgency_then_time_then_id(ledger):
    now = ledger.now()
    late = lined(ledger, run_at=now - timedelta(seconds=1))
    early = lined(ledger, run_at=now - timedelta(seconds=9))
    urgent = lined(ledger, run_at=now, priority=3)
    most = lined(ledger, run_at=now, priority=9)
    same = [a_job(lane="a", reason="exclusive", run_at=now - timedelta(seconds=5)) for _ in range(3)]
    ledger.insert(*reversed(same))
    order = []
    while ledger.admit():
        [job] = ledger.claim()
        ledger.finish(ending(job))
        order.append(job.id)
    assert order == ids([most, urgent, early, *same, late])


@pytest.mark.parametrize("end", sorted(ENDED))
def test_a_turn_is_over_with_the_job_however_that_ends(ledger, end):
    first, second = lined(ledger), lined(ledger)
    ledger.admit()
    [job] = ledger.claim()
    assert ledger.admit() == {}
    assert "\x01scheduled" in ledger.finish(ending(job, end)).freed
    assert ledger.row(first).turn is None
    assert ledger.admit() == {"q": 1}
    assert ready(ledger) == {second.id}


def test_a_job_that_is_cancelled_before_it_is_claimed_gives_up_its_turn(ledger):
    first, second = lined(ledger), lined(ledger)
    ledger.admit()
    assert "\x01scheduled" in ledger.cancel(first).freed
    assert ledger.admit() == {"q": 1}
    assert ready(ledger) == {second.id}


@pytest.mark.parametrize("how", [{}, {"delay": HOUR}, {"reason": "unregistered"}])
def test_a_turn_is_kept_by_a_job_that_comes_back(ledger, how):
    first = lined(ledger)
    lined(ledger, priority=9, run_at=ledger.now() + timedelta(hours=1))
    ledger.admit()
    [job] = ledger.claim()
    ledger.reschedule(back(job, charge=1, **how))
    assert ledger.row(first).turn == "a"
    assert ledger.admit() == {}
    ledger.time_passes(first)
    ledger.stage()
    assert ledger.unpark("shop.noop") == ({"q": 1} if "reason" in how else {})
    assert ids(ledger.claim()) == [first.id]


def test_a_turn_is_kept_through_release_and_rescue(ledger):
    first = lined(ledger)
    lined(ledger)
    ledger.admit()
    for let_go in (ledger.release, lambda job: ledger.rescue(Sighting(WORKER))):
        [job] = ledger.claim()
        let_go(job)
        assert ledger.admit() == {}
        assert place(ledger, first) == ("ready", "", "a")


def test_a_job_that_was_replaced_gives_up_its_turn_and_comes_back_to_the_line(ledger):
    """Or a step of what replaced it, of the same lane, would wait for a job that waits for it."""
    first = lined(ledger)
    ledger.admit()
    [job] = ledger.claim()
    ledger.reschedule(back(job, reason="replaced"))
    step = lined(ledger)
    assert ledger.admit() == {"q": 1}
    [running] = ledger.claim()
    assert running.id == step.id
    assert ledger.insert(a_job(id=first.id, lane="a", reason="exclusive")) == 1
    assert ledger.admit() == {}
    ledger.finish(ending(running))
    assert ledger.admit() == {"q": 1}
    assert ready(ledger) == {first.id}


def test_a_job_that_died_with_the_step_before_it_comes_back_to_its_lane(ledger):
    job = ledger.at("dead")
    ledger.jobs.filter(id=job.id).update(reason="upstream")
    assert ledger.insert(a_job(id=job.id, lane="a", reason="exclusive")) == 1
    assert ledger.admit() == {"q": 1}
    assert place(ledger, job) == ("ready", "", "a")


def test_a_job_that_was_parked_before_it_got_in_line_gets_in_line(ledger):
    parked = lined(ledger, reason="unregistered")
    assert ledger.admit() == {}
    assert ledger.unpark("shop.noop") == {}
    assert place(ledger, parked) == ("waiting", "exclusive", None)
    assert ledger.admit() == {"q": 1}


def test_a_job_whose_time_has_not_come_keeps_nobody_from_his_turn(ledger):
    later = [lined(ledger, delay=HOUR, priority=9) for _ in range(3)]
    now = lined(ledger)
    assert ledger.admit() == {"q": 1}
    assert ready(ledger) == {now.id}
    [job] = ledger.claim()
    ledger.finish(ending(job))
    assert ledger.admit() == {}
    ledger.time_passes(later[1])
    assert ledger.admit() == {"q": 1}
    assert ready(ledger) == {later[1].id}


def test_a_job_that_waits_for_others_is_admitted_when_they_have_ended(ledger):
    parent = a_job()
    child = a_job(lane="a", reason="exclusive", priority=9)
    assert ledger.insert_waiting(child, [parent.id])
    ledger.insert(parent)
    behind = lined(ledger)
    assert ledger.admit() == {"q": 1}
    assert ready(ledger) == {parent.id, behind.id}
    for job in ledger.claim():
        ledger.finish(ending(job))
    assert place(ledger, child) == ("waiting", "exclusive", None)
    assert ledger.admit() == {"q": 1}
    assert ready(ledger) == {child.id}


def test_a_job_that_nobody_may_start_any_more_gets_no_turn(ledger):
    expired, cancelled, fresh = lined(ledger, expires_in=HOUR), lined(ledger), lined(ledger)
    ledger.time_passes(expired)
    ledger.jobs.filter(id=cancelled.id).update(cancel="ask")
    assert ledger.admit() == {"q": 1}
    assert ready(ledger) == {fresh.id}


def test_at_most_so_many_at_once_and_the_rest_next_time(ledger):
    ledger.insert(*(a_job(lane=f"lane {n % 7}", reason="exclusive") for n in range(21)))
    assert [ledger.admit(3) for _ in range(4)] == [{"q": 3}, {"q": 3}, {"q": 1}, {}]
    assert len(ready(ledger)) == 7


def test_lanes_are_told_apart_exactly(ledger):
    lanes = ["user-1", "user-10", "user-2", "úkol 🥕", "a b", "'", "%s"]
    ledger.insert(*(a_job(lane=lane, reason="exclusive") for lane in lanes))
    assert ledger.admit() == {"q": len(lanes)}
    assert set(ledger.jobs.values_list("turn", flat=True)) == set(lanes)
