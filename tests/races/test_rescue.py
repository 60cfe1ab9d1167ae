"""Two rescuers, a rescuer and a worker that is not dead after all, two that bid for the lead."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from celeriac import faults
from tests.ledger_helpers import a_present, all_back, ending, ids, judged, story
from tests.races.conftest import PATIENCE
from tests.waiting import wait_until


class Gate:
    """Holds up whoever comes first; the others pass."""

    def __init__(self) -> None:
        self.arrived, self.open = threading.Event(), threading.Event()

    def __call__(self) -> None:
        if not self.arrived.is_set():
            self.arrived.set()
            assert self.open.wait(PATIENCE)

    def judge(self, verdicts=all_back):
        """A judge that is held up after it was shown the jobs."""
        return lambda held: (self(), verdicts(held))[1]


def all_dead(held):
    ends = [ending(job, "dead", charge=1, loss=1) for job in held]
    return judged(endings=ends, failures=[story(job) for job in held])(held)


@pytest.fixture
def lost(ledger):
    worker = a_present()
    ledger.renew(worker)
    return ledger.sightings()[worker.id]


def claimed(ledger, lost, count=1, **fields):
    for _ in range(count):
        ledger.given(**fields)
    return ledger.claim(count, worker=lost.id)


class TestTwoRescuers:
    def test_at_once_do_it_once_and_the_second_does_not_wait(self, ledger, actor, lost):
        jobs, gate = claimed(ledger, lost, 3), Gate()
        with faults.armed("rescue.after_lock", gate):
            first = actor().starts(ledger.rescue, lost)
            assert gate.arrived.wait(PATIENCE)
            assert actor().does(ledger.rescue, lost) is None
            gate.open.set()
            assert set(ids(first.result(PATIENCE).held)) == set(ids(jobs))
        assert not ledger.workers.exists()
        assert {ledger.state(job) for job in jobs} == {"ready"}

    def test_one_of_which_fails_leave_it_to_the_other(self, ledger, actor, lost):
        [job] = claimed(ledger, lost)
        first = actor()
        first.begins()
        assert first.does(ledger.rescue, lost) is not None
        first.rolls_back()
        assert ledger.state(job) == "running"
        assert ids(actor().does(ledger.rescue, lost).held) == [job.id]

    def test_of_an_orphan_end_its_job_once(self, ledger, actor, lost, blocked):
        [job] = claimed(ledger, lost)
        ledger.workers.all().delete()
        [orphaned] = ledger.sightings().values()
        first = actor()
        first.begins()
        assert first.does(ledger.rescue, orphaned, all_dead) is not None
        second = actor().starts(ledger.rescue, orphaned, all_dead)
        blocked(1)
        first.commits()
        told = second.result(PATIENCE)
        row = ledger.row(job)
        assert (row.state, row.losses, row.attempt, len(ledger.attempts(job))) == ("dead", 1, 1, 1)
        assert told is None or told.judged.endings == []  # or its end would be told to errbacks and signals twice


class TestAWorkerThatLives:
    def test_and_renews_right_now_is_not_rescued(self, ledger, actor, lost):
        [job] = claimed(ledger, lost)
        worker = actor()
        worker.begins()
        worker.does(ledger.renew, a_present(lost.id))
        assert actor().does(ledger.rescue, lost) is None
        worker.commits()
        assert actor().does(ledger.rescue, lost) is None
        assert (ledger.state(job), ledger.workers.count()) == ("running", 1)

    def test_and_renews_while_it_is_rescued_learns_of_it(self, ledger, actor, lost, blocked):
        claimed(ledger, lost)
        gate = Gate()
        with faults.armed("rescue.after_lock", gate):
            rescue = actor().starts(ledger.rescue, lost)
            assert gate.arrived.wait(PATIENCE)
            renewal = actor().starts(ledger.renew, a_present(lost.id))
            blocked(1)
            gate.open.set()
            assert rescue.result(PATIENCE) is not None
        assert renewal.result(PATIENCE).made is True

    def test_and_finishes_before_it_is_judged_keeps_its_end(self, ledger, actor, lost):
        [job], gate = claimed(ledger, lost), Gate()
        with faults.armed("rescue.after_lock", gate):
            rescue = actor().starts(ledger.rescue, lost)
            assert gate.arrived.wait(PATIENCE)
            assert ledger.finish(ending(job)).count == 1
            gate.open.set()
            assert rescue.result(PATIENCE).held == []
        assert ledger.state(job) == "succeeded"

    def test_and_finishes_while_it_is_judged_ends_once_and_one_end_is_told(self, ledger, actor, lost):
        """Who is told that a job is dead fails its chain and calls its errbacks: not if it succeeded after all."""
        [job], gate = claimed(ledger, lost), Gate()
        [child] = ledger.children_of(job.id)
        end = judged(endings=[ending(job, "dead", charge=1, loss=1)], failures=[story(job)])
        rescue = actor().starts(ledger.rescue, lost, gate.judge(end))
        assert gate.arrived.wait(PATIENCE)
        late = actor().starts(ledger.finish, ending(job))
        wait_until(lambda: late.done() or in_line())
        gate.open.set()
        rescued = rescue.result(PATIENCE)
        row = ledger.row(job)
        assert (ledger.state(child), ledger.row(child).waits_for) == ("ready", 0)
        if late.result(PATIENCE).count:
            assert (row.state, row.losses, ledger.attempts(job)) == ("succeeded", 0, [])
            assert rescued.judged.endings == []
        else:
            assert (row.state, row.losses) == ("dead", 1)

    def test_and_claims_while_it_is_rescued_leaves_orphans_and_nothing_lost(self, ledger, actor, lost):
        gate = Gate()
        job = ledger.given()
        rescue = actor().starts(ledger.rescue, lost, gate.judge())
        assert gate.arrived.wait(PATIENCE)
        assert ids(ledger.claim(worker=lost.id)) == [job.id]
        gate.open.set()
        assert rescue.result(PATIENCE).held == []
        [orphaned] = ledger.sightings().values()
        assert (orphaned.id, orphaned.seen_at) == (lost.id, None)
        assert ids(ledger.rescue(orphaned).held) == [job.id]


def in_line() -> int:
    """How many connections stand in line for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND state = 'active'")
        return int(cursor.fetchone()[0])


class TestTheLead:
    def test_of_two_that_saw_the_same_number_stand_still_one_takes_it(self, ledger, actor, blocked):
        leader, one, two = a_present(), a_present(), a_present()
        number = ledger.renew(leader).number
        first, second = actor(), actor()
        first.begins()
        assert first.does(ledger.renew, one, number).holder == one.id
        other = second.starts(ledger.renew, two, number)
        blocked(1)
        first.commits()
        assert other.result(PATIENCE).holder != two.id
        assert ledger.lease == (one.id, number + 1)

    def test_is_not_believed_by_a_leader_whose_renewal_came_just_too_late(self, ledger, actor, blocked):
        leader, other = a_present(), a_present()
        number = ledger.renew(leader).number
        taker = actor()
        taker.begins()
        assert taker.does(ledger.renew, other, number).holder == other.id
        late = actor().starts(ledger.renew, leader)
        blocked(1)
        taker.commits()
        assert late.result(PATIENCE).holder != leader.id

    def test_is_made_once_when_all_start_at_the_same_time(self, ledger, actor):
        start = threading.Barrier(4)
        workers = [a_present() for _ in range(4)]

        def bid(worker):
            start.wait(PATIENCE)
            return ledger.renew(worker)

        renewals = [future.result(PATIENCE) for future in [actor().starts(bid, worker) for worker in workers]]
        holder, _ = ledger.lease
        assert [worker.id for worker, said in zip(workers, renewals, strict=True) if said.holder == worker.id] == [
            holder
        ]
