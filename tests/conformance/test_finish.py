"""finish: running → an end, once and only by the claim that holds the job; and its children are counted down."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, transaction

from celeriac.ledger.rows import Settlement
from celeriac.ledger.states import ENDED, State
from celeriac.ledger.verbs import Finished
from tests.ledger_helpers import a_job, back, ending, ids, stale, story

RESULTS = [None, "null", '""', "[]", '"\\u0000"', '"\\ud800"', '"🥕"', '"' + "x" * 200_000 + '"']
ENDS = sorted(state.value for state in ENDED)


@pytest.mark.parametrize("state", ENDS)
def test_an_end_is_kept_with_all_that_belongs_to_it(ledger, state):
    job = ledger.running(attempt=2)
    ledger.jobs.filter(id=job.id).update(progress='"half"', losses=1)
    told = {"reason": "why", "charge": 1, "loss": 1, "result": '{"r":"ů"}', "error": '{"e":1}', "children": "[1]"}
    assert ledger.finish(ending(job, state, **told, ran=30.0, ago=10.0)) == Finished(1, 0, [])
    row = ledger.row(job)
    assert (row.state, row.reason, row.attempt, row.losses, row.claim_no) == (state, "why", 3, 2, 1)
    assert (row.result, row.error, row.children) == ('{"r":"ů"}', '{"e":1}', "[1]")
    assert (row.worker, row.progress) == (None, None)
    assert 9 < (ledger.now() - row.finished_at).total_seconds() < 70
    assert (row.finished_at - row.started_at).total_seconds() == pytest.approx(30.0, abs=0.01)


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_comes_back_exactly(ledger, result):
    job = ledger.running()
    ledger.finish(ending(job, result=result, error=result, children=result))
    row = ledger.row(job)
    assert (row.result, row.error, row.children) == (result, result, result)


def test_nothing_finished_is_nothing_changed(ledger):
    assert ledger.finish() == Finished(0, 0, [])


class TestTheFence:
    def test_a_stale_claim_changes_nothing_and_is_counted(self, ledger):
        job = ledger.running()
        ledger.release(job)
        [again] = ledger.claim()
        [child] = ledger.children_of(job.id)
        before = ledger.values(job), ledger.values(child)
        assert ledger.finish(ending(job, charge=1, result="1"), failures=[story(job)]) == Finished(0, 1, [])
        assert (ledger.values(job), ledger.values(child)) == before
        assert ledger.attempts(job) == []
        assert ledger.finish(ending(again)) == Finished(1, 0, ["q"])

    @pytest.mark.parametrize("state", [None, *sorted(set(State) - {State.RUNNING})])
    def test_only_a_running_job_is_finished(self, ledger, state):
        job = ledger.at(state)
        before = ledger.values(job)
        assert ledger.finish(ending(job, "dead", charge=1), failures=[story(job)]) == Finished(0, 1, [])
        assert ledger.values(job) == before
        assert ledger.attempts(job) == []

    def test_the_second_end_of_one_claim_is_stale(self, ledger):
        job = ledger.running()
        assert ledger.finish(ending(job, result="1")) == Finished(1, 0, [])
        assert ledger.finish(ending(job, "dead", result="2")) == Finished(0, 1, [])
        assert ledger.row(job).result == "1"

    def test_one_stale_end_costs_the_others_of_its_batch_nothing(self, ledger):
        jobs = ledger.running_many(3)
        assert ledger.finish(ending(jobs[0]), ending(stale(jobs[1])), ending(jobs[2])) == Finished(2, 1, [])
        assert [ledger.state(job) for job in jobs] == ["succeeded", "running", "succeeded"]

    def test_the_same_end_twice_in_a_batch_counts_once(self, ledger):
        job = ledger.running()
        children = ledger.children_of(job.id)
        assert ledger.finish(ending(job, charge=1), ending(job, charge=1)) == Finished(1, 1, ["q"])
        assert ledger.row(job).attempt == 1
        assert ledger.row(children[0]).waits_for == 0


class TestAttempts:
    def test_the_story_of_a_failure_is_kept(self, ledger):
        job = ledger.running(attempt=4)
        told = {"kind": "timeout", "exception": "app.Oops", "message": "ů🥕", "traceback": "Traceback\n  ů"}
        ledger.finish(ending(job, "dead", charge=1), failures=[story(job, **told, ran=3.0, ago=1.0)])
        [attempt] = ledger.attempts(job)
        assert (attempt.number, attempt.claim_no, attempt.kind, attempt.exception) == (5, 1, "timeout", "app.Oops")
        assert (attempt.message, attempt.traceback) == ("ů🥕", "Traceback\n  ů")
        assert attempt.worker is not None
        assert (attempt.finished_at - attempt.started_at).total_seconds() == pytest.approx(3.0, abs=0.01)
        assert 0 < (ledger.now() - attempt.finished_at).total_seconds() < 60

    def test_each_attempt_has_its_own(self, ledger):
        job = ledger.running()
        ledger.reschedule(back(job, charge=1), failures=[story(job, traceback="one")])
        [job] = ledger.claim()
        ledger.finish(ending(job, "dead", charge=1), failures=[story(job, traceback="two")])
        assert [(a.number, a.claim_no, a.traceback) for a in ledger.attempts(job)] == [(1, 1, "one"), (2, 2, "two")]

    def test_only_failures_of_claims_that_hold_are_kept(self, ledger):
        held, lost = ledger.running_many(2)
        ledger.finish(ending(held, "dead"), ending(stale(lost), "dead"), failures=[story(held), story(stale(lost))])
        assert (len(ledger.attempts(held)), len(ledger.attempts(lost))) == (1, 0)

    def test_the_same_story_twice_is_kept_once(self, ledger):
        job = ledger.running()
        assert ledger.finish(ending(job, "dead"), failures=[story(job), story(job)]).count == 1
        assert len(ledger.attempts(job)) == 1

    def test_a_refused_end_keeps_no_story(self, ledger):
        job = ledger.running()
        with pytest.raises(DatabaseError), transaction.atomic(using=ledger.alias):
            ledger.finish(ending(job, "nonsense"), failures=[story(job)])
        assert (ledger.state(job), ledger.attempts(job)) == ("running", [])


class TestChildren:
    @pytest.mark.parametrize("state", ENDS)
    def test_whatever_the_end_the_last_parent_frees_the_child(self, ledger, state):
        parents = ledger.running_many(2)
        [child] = ledger.children_of(*ids(parents), queue="c")
        assert ledger.finish(ending(parents[0], state)).freed == []
        assert (ledger.state(child), ledger.row(child).waits_for) == ("waiting", 1)
        assert ledger.finish(ending(parents[1], state)).freed == ["c"]
        assert (ledger.state(child), ledger.row(child).waits_for) == ("ready", 0)

    def test_parents_of_one_batch_are_all_counted(self, ledger):
        parents = ledger.running_many(50)
        [chord] = ledger.children_of(*ids(parents))
        others = ledger.children_of(parents[0].id, parents[1].id, count=3, queue="c")
        assert ledger.finish(*map(ending, parents[1:])).freed == []
        assert ledger.row(chord).waits_for == 1
        assert [ledger.row(child).waits_for for child in others] == [1, 1, 1]
        assert sorted(ledger.finish(ending(parents[0])).freed) == ["c", "q"]

    def test_a_parent_is_counted_down_once_however_often_it_is_finished(self, ledger):
        first, second = ledger.running_many(2)
        [child] = ledger.children_of(first.id, second.id)
        for _ in range(3):
            ledger.finish(ending(first))
        assert ledger.row(child).waits_for == 1

    def test_a_rescheduled_parent_has_not_ended(self, ledger):
        parent = ledger.running()
        [child] = ledger.children_of(parent.id)
        ledger.reschedule(back(parent, charge=1))
        assert ledger.row(child).waits_for == 1

    def test_a_child_with_a_reason_goes_on_waiting_for_that(self, ledger):
        parent = ledger.running()
        [child] = ledger.children_of(parent.id, reason="unregistered")
        assert ledger.finish(ending(parent)).freed == []
        assert (ledger.state(child), ledger.row(child).waits_for) == ("waiting", 0)
        assert ledger.unpark("shop.noop") == {"q": 1}

    @pytest.mark.parametrize("state", ENDS)
    def test_a_child_that_ended_meanwhile_stays_ended(self, ledger, state):
        parent = ledger.running()
        [child] = ledger.children_of(parent.id)
        ledger.settle(Settlement(child.id, state))
        before = ledger.values(child)
        assert ledger.finish(ending(parent)).freed == []
        assert ledger.values(child) == before

    def test_children_of_others_are_left_alone(self, ledger):
        mine, other = ledger.running_many(2)
        [child] = ledger.children_of(other.id)
        ledger.finish(ending(mine))
        assert ledger.row(child).waits_for == 1


def test_a_thousand_and_more_are_finished_at_once(ledger):
    jobs = ledger.running_many(1200)
    [child] = ledger.children_of(*ids(jobs))
    done = ledger.finish(*map(ending, jobs), failures=[story(job) for job in jobs[:50]])
    assert done == Finished(1200, 0, ["q"])
    assert ledger.state(child) == "ready"
    ledger.balances(inserted=1201)


def test_the_account_balances_with_every_end(ledger):
    for state in State:
        ledger.at(state)
    ledger.insert(a_job())
    ledger.balances(inserted=8)
