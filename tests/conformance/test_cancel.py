"""cancel: resting → cancelled; what runs is marked, and never runs again."""

from __future__ import annotations

import pytest

from celeriac.ledger import queries, verbs
from celeriac.ledger.rows import Sighting
from celeriac.ledger.states import ENDED, State
from celeriac.ledger.verbs import Cancelled
from tests.ledger_helpers import HOUR, WORKER, a_job, an_id, back, ending, ids, stale

RESTING = ["waiting", "scheduled", "ready"]


@pytest.mark.parametrize("state", RESTING)
def test_a_job_that_rests_is_cancelled(ledger, state):
    job = ledger.at(state)
    assert ledger.cancel(job) == Cancelled([job.id], [], [], [])
    row = ledger.row(job)
    assert (row.state, row.reason, row.attempt, row.cancel) == ("cancelled", "revoked", 0, "")
    assert abs((row.finished_at - ledger.now()).total_seconds()) < 60


def test_the_reason_is_the_callers(ledger):
    job = ledger.given()
    ledger.cancel(job, reason="superseded")
    assert ledger.row(job).reason == "superseded"


def test_a_job_that_runs_is_marked_and_goes_on(ledger):
    job = ledger.running()
    before = ledger.values(job)
    assert ledger.cancel(job) == Cancelled([], [job.id], [], [])
    assert ledger.values(job) == before | {"cancel": "ask"}
    assert queries.cancels_of(WORKER, using=ledger.alias) == [(job.id, "ask")]
    assert queries.cancels_of(an_id(), using=ledger.alias) == []


@pytest.mark.parametrize("state", sorted(ENDED))
def test_a_job_that_has_ended_is_left_alone(ledger, state):
    job = ledger.at(state)
    before = ledger.values(job)
    assert ledger.cancel(job, signal="SIGKILL") == Cancelled([], [], [job.id], [])
    assert ledger.values(job) == before


def test_what_is_not_there_is_in_no_list(ledger):
    assert ledger.cancel(an_id()) == Cancelled([], [], [], [])
    assert ledger.cancel() == Cancelled([], [], [], [])
    assert ledger.jobs.count() == 0


def test_a_signal_is_never_weakened_to_a_question(ledger):
    job = ledger.running()
    for signal, marked in [(None, "ask"), ("SIGTERM", "SIGTERM"), (None, "SIGTERM"), ("SIGKILL", "SIGKILL")]:
        assert ledger.cancel(job, signal=signal).asked == [job.id]
        assert ledger.row(job).cancel == marked


def test_many_of_every_kind_at_once_each_named_once(ledger):
    rests, runs = [ledger.at(state) for state in RESTING], ledger.running_many(2)
    ended = [ledger.at(state) for state in ENDED]
    done = ledger.cancel(*rests, *runs, *ended, *rests, an_id())
    assert [sorted(part) for part in done[:3]] == [sorted(ids(part)) for part in (rests, runs, ended)]


def test_what_waited_for_it_is_freed_once(ledger):
    parents = [ledger.given() for _ in range(2)]
    [both] = ledger.children_of(*ids(parents), queue="c")
    assert ledger.cancel(parents[0]).freed == []
    assert ledger.cancel(parents[1]).freed == ["c"]
    assert ledger.cancel(*parents).freed == []
    assert ledger.state(both) == "ready"


def test_a_child_that_is_cancelled_with_its_parent_is_not_freed(ledger):
    parent = ledger.given()
    [child] = ledger.children_of(parent.id)
    done = ledger.cancel(parent, child)
    assert (set(done.settled), done.freed) == ({parent.id, child.id}, [])


def test_a_marked_job_waits_for_its_end_before_anything_is_freed(ledger):
    parent = ledger.running()
    [child] = ledger.children_of(parent.id, queue="c")
    assert ledger.cancel(parent).freed == []
    assert ledger.state(child) == "waiting"
    ledger.release(parent)
    assert ledger.expire().freed == ["c"]


@pytest.mark.parametrize("end", sorted(ENDED))
def test_an_end_that_a_marked_job_comes_to_by_itself_stands(ledger, end):
    job = ledger.running()
    ledger.cancel(job)
    assert ledger.finish(ending(job, end, reason="its own")).count == 1
    row = ledger.row(job)
    assert (row.state, row.reason) == (end, "its own")
    assert ledger.expire().ids == []


WAYS_BACK = {
    "released": lambda ledger, job: ledger.release(job),
    "again now": lambda ledger, job: ledger.reschedule(back(job, charge=1)),
    "again later": lambda ledger, job: ledger.reschedule(back(job, delay=HOUR)),
    "again, with an expiry": lambda ledger, job: ledger.reschedule(back(job, expires_at=job.run_at.replace(year=2999))),
    "parked": lambda ledger, job: ledger.reschedule(back(job, reason="unregistered")),
    "replaced": lambda ledger, job: (
        ledger.reschedule(back(job, reason="replaced")) and ledger.insert(a_job(id=job.id, expires_in=HOUR))
    ),
}


@pytest.mark.parametrize("way", WAYS_BACK)
def test_a_marked_job_that_comes_back_is_never_claimed_again(ledger, way):
    job = ledger.running(expires_in=HOUR)
    ledger.cancel(job)
    WAYS_BACK[way](ledger, job)
    assert ledger.state(job) in RESTING
    ledger.unpark("shop.noop")
    ledger.jobs.filter(state="scheduled").update(run_at=ledger.now())
    ledger.stage()
    assert ledger.state(job) == "ready"
    assert ledger.claim() == []
    assert ledger.expire().ids == [job.id]
    row = ledger.row(job)
    assert (row.state, row.reason) == ("cancelled", "revoked")


def test_a_rescue_of_its_worker_does_not_bring_it_back(ledger):
    job, other = ledger.running(), ledger.running()
    ledger.cancel(job, signal="SIGTERM")
    rescued = verbs.rescue(
        Sighting(WORKER), lambda held: verbs.Judged([back(job, loss=1) for job in held], [], []), using=ledger.alias
    )
    assert rescued.queues == {"q"}
    assert ids(ledger.claim()) == [other.id]
    assert ledger.expire().ids == [job.id]
    assert ledger.row(job).reason == "revoked"


@pytest.mark.parametrize("state", ["scheduled", "waiting"])
def test_it_need_not_be_due_to_be_ended(ledger, state):
    job = ledger.running()
    ledger.cancel(job)
    ledger.reschedule(back(job, **({"delay": HOUR} if state == "scheduled" else {"reason": "event"})))
    assert ledger.state(job) == state
    assert ledger.expire().ids == [job.id]


def test_expired_and_marked_it_was_revoked(ledger):
    job, late = ledger.running(expires_in=HOUR), ledger.given(expires_in=HOUR)
    ledger.cancel(job)
    ledger.time_passes(job, late)
    ledger.release(job)
    assert set(ledger.expire().ids) == {job.id, late.id}
    assert (ledger.row(job).reason, ledger.row(late).reason) == ("revoked", "expired")


def test_expire_keeps_to_its_limit_whatever_the_kinds(ledger):
    marked = ledger.running_many(2)
    ledger.cancel(*marked)
    ledger.release(*marked)
    late = [ledger.given(expires_in=HOUR) for _ in range(2)]
    ledger.time_passes(*late)
    assert [len(ledger.expire(limit=3).ids) for _ in range(3)] == [3, 1, 0]


def test_a_marked_job_does_not_hold_up_the_line(ledger):
    marked, next_ = ledger.running(priority=9), ledger.given()
    ledger.cancel(marked)
    ledger.release(marked)
    assert ids(ledger.claim(1)) == [next_.id]


def test_a_stale_claim_cannot_bring_a_marked_job_back(ledger):
    job = ledger.running()
    ledger.cancel(job)
    assert ledger.release(stale(job)) == {}
    assert ledger.state(job) == State.RUNNING


def test_thousands_at_once(ledger):
    jobs = [a_job() for _ in range(1200)]
    ledger.insert(*jobs)
    claimed = ledger.claim(500)
    done = ledger.cancel(*jobs)
    assert (len(done.settled), len(done.asked)) == (700, 500)
    ledger.release(*claimed)
    assert len(ledger.expire(1000).ids) == 500
    ledger.balances(inserted=1200)
