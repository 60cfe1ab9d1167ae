"""settle: any resting state, or no row at all, → an end, for a job that no claim holds."""

from __future__ import annotations

import pytest

from celeriac.ledger import queries
from celeriac.ledger.rows import Settlement
from celeriac.ledger.states import ENDED, State
from celeriac.ledger.verbs import Settled
from tests.ledger_helpers import HOUR, a_job, an_id, back, ids, story

ENDS = sorted(state.value for state in ENDED)
RESTING = ["waiting", "scheduled", "ready"]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("state", RESTING)
def test_a_resting_job_is_brought_to_its_end(ledger, state, end):
    job = ledger.at(state, args='["a"]')
    told = {"reason": "upstream", "result": '"ů"', "error": '{"e":1}', "children": "[]"}
    assert ledger.settle(Settlement(job.id, end, **told)) == Settled([job.id], [])
    row = ledger.row(job)
    assert (row.state, row.reason, row.result, row.error, row.children) == (end, "upstream", '"ů"', '{"e":1}', "[]")
    assert (row.args, row.task, row.attempt, row.claim_no, row.waits_for) == ('["a"]', "shop.noop", 0, 0, 0)
    assert abs((row.finished_at - ledger.now()).total_seconds()) < 60


@pytest.mark.parametrize("state", [State.RUNNING, *ENDS])
def test_a_running_or_ended_job_is_left_alone(ledger, state):
    job = ledger.at(state)
    [child] = ledger.children_of(job.id)
    before = ledger.values(job)
    late = Settlement(job.id, "dead", "late", error="1", traceback="T", task="shop.noop")
    assert ledger.settle(late) == Settled([], [])
    assert ledger.values(job) == before
    assert ledger.attempts(job) == []
    assert ledger.row(child).waits_for == 1


class TestAMissingRow:
    @pytest.mark.parametrize("end", ENDS)
    def test_is_made_when_a_task_is_named(self, ledger, end):
        told = {"task": "shop.fleeting", "queue": "ů", "args": "[1]", "kwargs": '{"k":1}', "headers": '{"h":1}'}
        id_ = an_id()
        wanted = Settlement(id_, end, "why", result="1", error="2", children="[3]", **told)
        assert ledger.settle(wanted) == Settled([id_], [])
        row = ledger.row(id_)
        assert (row.state, row.reason, row.result, row.error, row.children) == (end, "why", "1", "2", "[3]")
        assert (row.task, row.queue, row.args, row.kwargs, row.headers) == tuple(told.values())
        assert (row.priority, row.attempt, row.losses, row.claim_no, row.waits_for) == (0, 0, 0, 0, 0)
        assert abs((row.finished_at - ledger.now()).total_seconds()) < 60

    def test_stays_missing_when_none_is(self, ledger):
        assert ledger.settle(Settlement(an_id(), "dead", traceback="T")) == Settled([], [])
        ledger.balances(inserted=0)

    def test_frees_what_waits_for_it(self, ledger):
        id_ = an_id()
        [child] = ledger.children_of(id_)
        assert ledger.settle(Settlement(id_, "dead", task="shop.noop")) == Settled([id_], ["q"])
        assert ledger.state(child) == "ready"

    def test_asked_for_twice_is_made_once(self, ledger):
        id_ = an_id()
        one = Settlement(id_, "dead", task="shop.noop", traceback="T")
        assert ledger.settle(one, one).ids == [id_]
        assert ledger.settle(one).ids == []
        assert len(ledger.attempts(ledger.row(id_))) == 1


class TestTraceback:
    def test_is_kept_as_the_story_of_the_job(self, ledger):
        job = ledger.given()
        ledger.settle(Settlement(job.id, "dead", "upstream", traceback="Traceback ů"))
        [attempt] = ledger.attempts(job)
        assert (attempt.traceback, attempt.number, attempt.exception) == ("Traceback ů", 1, "upstream")

    def test_is_the_last_one_of_a_job_that_failed_before(self, ledger):
        job = ledger.running()
        ledger.reschedule(back(job, charge=1), failures=[story(job, traceback="first")])
        ledger.settle(Settlement(job.id, "dead", "upstream", traceback="last"))
        assert queries.traceback_of(job.id, using=ledger.alias) == "last"

    def test_none_is_no_story(self, ledger):
        job = ledger.given()
        ledger.settle(Settlement(job.id, "cancelled", "revoked"))
        assert ledger.attempts(job) == []


class TestChildren:
    @pytest.mark.parametrize("end", ENDS)
    def test_are_freed_by_the_last_parent_whatever_its_end(self, ledger, end):
        parents = [ledger.given() for _ in range(3)]
        [child] = ledger.children_of(*ids(parents), queue="c")
        assert ledger.settle(*(Settlement(job.id, end) for job in parents[:2])).freed == []
        assert ledger.row(child).waits_for == 1
        assert ledger.settle(Settlement(parents[2].id, end)).freed == ["c"]
        assert ledger.state(child) == "ready"

    def test_settled_together_with_their_parent_stay_settled(self, ledger):
        parent = ledger.given()
        [child] = ledger.children_of(parent.id)
        [grandchild] = ledger.children_of(child.id, queue="g")
        settled = ledger.settle(Settlement(child.id, "dead"), Settlement(parent.id, "dead"))
        assert (set(settled.ids), settled.freed) == ({parent.id, child.id}, ["g"])
        assert (ledger.state(child), ledger.state(grandchild)) == ("dead", "ready")

    def test_that_wait_for_another_reason_go_on_waiting(self, ledger):
        parent = ledger.given()
        [child] = ledger.children_of(parent.id, reason="event")
        assert ledger.settle(Settlement(parent.id, "dead")).freed == []
        assert (ledger.state(child), ledger.row(child).waits_for) == ("waiting", 0)


def test_a_settled_job_is_no_longer_claimed_staged_or_expired(ledger):
    jobs = [ledger.at(state, expires_in=HOUR) for state in RESTING]
    ledger.settle(*(Settlement(job.id, "cancelled") for job in jobs))
    ledger.time_passes(*jobs)
    assert (ledger.claim(), ledger.stage().count, ledger.expire().ids) == ([], 0, [])


def test_nothing_settled_is_nothing_changed(ledger):
    assert ledger.settle() == Settled([], [])


def test_a_thousand_and_more_are_settled_at_once(ledger):
    jobs = [a_job() for _ in range(700)]
    ledger.insert(*jobs)
    missing = [Settlement(an_id(), "dead", task="shop.noop") for _ in range(500)]
    assert len(ledger.settle(*(Settlement(job.id, "cancelled") for job in jobs), *missing).ids) == 1200
    ledger.balances(inserted=1200)
