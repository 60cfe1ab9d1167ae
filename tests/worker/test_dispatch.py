"""Who is to blame when a process was ended on purpose."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from billiard.exceptions import Terminated
from celery.exceptions import WorkerLostError

from celeriac.worker.board import JOBS, Board
from celeriac.worker.dispatch import Dispatcher
from tests.ledger_helpers import a_job
from tests.worker.claims import a_worker


class Pool:
    """Takes every claim and runs none."""

    num_processes = 2

    def __init__(self):
        self.signals = []

    def apply_async(self, _run, _args, *, accept_callback, error_callback, **_):
        accept_callback(4711, None)
        self.fail = lambda error: error_callback(SimpleNamespace(exception=error))
        return object()

    def terminate_job(self, pid, signal):
        self.signals.append((pid, signal))


@pytest.fixture
def pool():
    return Pool()


@pytest.fixture
def dispatcher(pool):
    return Dispatcher(a_worker(pool), Board(4), lambda: None)


@pytest.fixture
def jobs(dispatcher):
    jobs = [a_job() for _ in range(3)]
    assert dispatcher.dispatch(jobs)
    return jobs


def only_claim(dispatcher):
    [claim] = dispatcher.claims
    return claim


def test_a_marked_job_that_runs_is_ended_and_blamed(dispatcher, pool, jobs):
    dispatcher.board.mark(only_claim(dispatcher).slot, 1, 0.0)
    dispatcher.cancel(jobs[1].id)
    assert dispatcher.terminate(jobs[1].id, 15) is True
    assert pool.signals == [(4711, 15)]
    pool.fail(Terminated(-15))
    assert dispatcher.fallen[0].blamed == [jobs[1]]


def test_the_signal_that_came_too_late_is_not_the_next_jobs_fault(dispatcher, pool, jobs):
    slot = only_claim(dispatcher).slot
    dispatcher.board.mark(slot, 0, 0.0)
    dispatcher.cancel(jobs[0].id)
    dispatcher.terminate(jobs[0].id, 15)
    dispatcher.board.mark(slot, 1, 0.0)
    pool.fail(Terminated(-15))
    assert not dispatcher.fallen[0].blamed


def test_a_process_that_died_by_itself_is_charged_to_whom_it_ran(dispatcher, pool, jobs):
    dispatcher.board.mark(only_claim(dispatcher).slot, 1, 0.0)
    pool.fail(WorkerLostError("gone"))
    assert dispatcher.fallen[0].blamed == [jobs[1]]


def test_a_job_that_does_not_run_yet_is_not_signalled_through_its_claim_mate(dispatcher, pool, jobs):
    assert dispatcher.terminate(jobs[2].id, 15) is None  # nobody can tell yet whether it begins
    dispatcher.board.mark(only_claim(dispatcher).slot, 0, 0.0)
    assert dispatcher.terminate(jobs[2].id, 15) is False
    assert dispatcher.terminate(a_job().id, 15) is False
    assert pool.signals == []


def test_a_slots_next_claim_inherits_no_marks(dispatcher, pool, jobs):
    slot = only_claim(dispatcher).slot
    for job in jobs:
        dispatcher.cancel(job.id)
    assert [dispatcher.board.cancelled(slot, index) for index in range(3)] == [True] * 3
    pool.fail(WorkerLostError("gone"))
    assert dispatcher.dispatch([a_job() for _ in range(2)])
    assert only_claim(dispatcher).slot == slot
    assert [dispatcher.board.cancelled(slot, index) for index in range(2)] == [False] * 2
    dispatcher.cancel(jobs[0].id)
    assert not dispatcher.board.cancelled(slot, 0)


def test_the_largest_claim_has_room_on_the_board():
    board = Board(2)
    board.cancel(0, JOBS - 1)
    board.forget_cancels(1, JOBS)
    assert board.cancelled(0, JOBS - 1)
    assert not board.cancelled(1, 0)


class TestSpare:
    """One claim more than there are processes, if one of them should soon be free."""

    @pytest.fixture(autouse=True)
    def processes(self, dispatcher):
        dispatcher.has_processes = True

    def test_is_for_a_pool_that_is_full(self, dispatcher):
        assert not dispatcher.may_spare
        dispatcher.dispatch([a_job()])
        assert (dispatcher.free, dispatcher.may_spare) == (1, False)
        dispatcher.dispatch([a_job()])
        assert (dispatcher.free, dispatcher.may_spare) == (0, True)
        dispatcher.dispatch([a_job()])
        assert (dispatcher.free, dispatcher.may_spare) == (0, False)
        assert sorted(claim.spare for claim in dispatcher.claims) == [False, False, True]

    def test_is_watched_whether_it_has_limits_or_not(self, dispatcher):
        watched = []
        dispatcher.watch = watched.append
        for _ in range(3):
            dispatcher.dispatch([a_job()])
        assert [claim.spare for claim in watched] == [True]

    def test_is_not_where_all_have_run_for_long(self, dispatcher):
        for _ in range(2):
            dispatcher.dispatch([a_job()])
        old, young = dispatcher.claims
        old.begun -= 3600
        assert dispatcher.may_spare
        young.begun -= 3600
        assert not dispatcher.may_spare

    def test_is_not_while_the_last_one_still_waits_in_the_pool(self, dispatcher):
        for _ in range(3):
            dispatcher.dispatch([a_job()])
        [spare] = [claim for claim in dispatcher.claims if claim.spare]
        dispatcher.retire(spare)
        assert (len(dispatcher.claims), dispatcher.may_spare) == (2, False)
        dispatcher._remove(spare)
        assert dispatcher.may_spare

    def test_is_not_of_threads_and_solo(self, dispatcher):
        for _ in range(2):
            dispatcher.dispatch([a_job()])
        dispatcher.has_processes = False
        assert not dispatcher.may_spare
