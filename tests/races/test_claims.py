"""Two workers reach for the same jobs."""

from __future__ import annotations

import threading
from uuid import UUID

from celeriac import faults
from celeriac.ledger.models import Job
from celeriac.ledger.rows import Settlement
from tests.ledger_helpers import a_job, ending, ids, story
from tests.races.conftest import PATIENCE

OTHER = UUID("00000000-0000-4000-8000-000000000002")


def test_a_claim_skips_what_another_has_not_committed_yet_without_waiting(ledger, actor):
    jobs = [ledger.given() for _ in range(4)]
    first, second = actor(), actor()
    first.begins()
    assert ids(first.does(ledger.claim, 2)) == ids(jobs[:2])
    assert ids(second.does(ledger.claim, worker=OTHER)) == ids(jobs[2:])
    first.commits()
    assert ledger.claim() == []


def test_a_claim_that_is_rolled_back_leaves_its_jobs_to_others(ledger, actor):
    job = ledger.given()
    first = actor()
    first.begins()
    assert ids(first.does(ledger.claim)) == [job.id]
    first.rolls_back()
    [claimed] = ledger.claim()
    assert (claimed.id, claimed.claim_no) == (job.id, 1)


def test_a_claim_skips_rows_that_somebody_locks(ledger, actor):
    locked, free = ledger.given(priority=9), ledger.given()
    operator = actor()
    operator.begins()
    operator.does(lambda: Job.objects.select_for_update().get(id=locked.id))
    assert ids(actor().does(ledger.claim)) == [free.id]


def test_staging_expiring_and_unparking_skip_locked_rows_too(ledger, actor):
    scheduled, parked = ledger.given(delay=3600.0), ledger.given(reason="unregistered")
    expired = ledger.given(expires_in=3600.0)
    ledger.time_passes(scheduled, expired)
    operator, upkeep = actor(), actor()
    operator.begins()
    operator.does(lambda: list(Job.objects.select_for_update().filter(id__in=ids([scheduled, parked, expired]))))
    assert upkeep.does(ledger.stage).count == 0
    assert upkeep.does(ledger.expire).ids == []
    assert upkeep.does(ledger.unpark, "shop.noop") == {}
    operator.commits()
    assert upkeep.does(ledger.stage).count == 1
    assert upkeep.does(ledger.expire).ids == [expired.id]
    assert upkeep.does(ledger.unpark, "shop.noop") == {"q": 1}


def test_workers_that_claim_at_once_get_every_job_once(ledger, actor):
    ledger.insert(*(a_job() for _ in range(300)))
    start = threading.Barrier(4)

    def claim_all():
        start.wait(PATIENCE)
        mine = []
        while claimed := ledger.claim(7):
            mine += ids(claimed)
        return mine

    shares = [future.result(PATIENCE) for future in [actor().starts(claim_all) for _ in range(4)]]
    taken = [id_ for share in shares for id_ in share]
    assert len(taken) == len(set(taken)) == 300
    assert set(ledger.jobs.values_list("claim_no", flat=True)) == {1}


class TestAStaleClaim:
    def test_that_finishes_after_release_and_reclaim_changes_nothing(self, ledger, actor):
        job = ledger.running()
        [child] = ledger.children_of(job.id)
        arrived, go = threading.Event(), threading.Event()

        def held_up():
            arrived.set()
            go.wait(PATIENCE)

        with faults.armed("finish.before_statement", held_up):
            late = actor().starts(ledger.finish, ending(job, "dead", charge=1), failures=[story(job)])
            assert arrived.wait(PATIENCE)
        ledger.release(job)
        [again] = ledger.claim(worker=OTHER)
        before = ledger.values(job), ledger.values(child)
        go.set()
        done = late.result(PATIENCE)
        assert (done.count, done.stale, done.freed) == (0, 1, [])
        assert (ledger.values(job), ledger.values(child)) == before
        assert ledger.attempts(job) == []
        assert ledger.finish(ending(again)).count == 1

    def test_that_stands_in_line_while_its_job_is_taken_from_it_changes_nothing(self, ledger, actor, blocked):
        """The fence is looked at again once the row lock is ours: PostgreSQL reads the newest version then."""
        job = ledger.running()
        rescuer = actor()
        rescuer.begins()
        rescuer.does(ledger.release, job)
        assert len(rescuer.does(ledger.claim, worker=OTHER)) == 1
        late = actor().starts(ledger.finish, ending(job, "dead"), failures=[story(job)])
        blocked(1)
        rescuer.commits()
        assert late.result(PATIENCE).stale == 1
        row = ledger.row(job)
        assert (row.state, row.worker, row.claim_no) == ("running", OTHER, 2)
        assert ledger.attempts(job) == []

    def test_that_stands_in_line_behind_its_own_twin_is_counted_once(self, ledger, actor, blocked):
        job = ledger.running()
        [child] = ledger.children_of(job.id)
        first = actor()
        first.begins()
        assert first.does(ledger.finish, ending(job)).count == 1
        second = actor().starts(ledger.finish, ending(job))
        blocked(1)
        first.commits()
        assert (second.result(PATIENCE).count, second.result(PATIENCE).freed) == (0, [])
        assert ledger.row(child).waits_for == 0


def test_settling_a_job_that_is_being_claimed_leaves_it_running(ledger, actor, blocked):
    job = ledger.given()
    worker = actor()
    worker.begins()
    worker.does(ledger.claim)
    settling = actor().starts(ledger.settle, Settlement(job.id, "cancelled", task="shop.noop"))
    blocked(1)
    worker.commits()
    assert settling.result(PATIENCE).ids == []
    assert ledger.state(job) == "running"
