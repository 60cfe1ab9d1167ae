"""Time limits, exact per job: soft then hard, for the job that runs and no other; and claim-mates are not held up."""

from __future__ import annotations

import itertools
import logging
import signal
from types import SimpleNamespace

import hypothesis.strategies as st
import pytest
from billiard.exceptions import TimeLimitExceeded
from hypothesis import given, settings

from celeriac import events
from celeriac.worker import deadlines as module
from celeriac.worker.board import NOBODY, Board
from celeriac.worker.deadlines import REST, SHED, SOON, UNTAKEN, Deadlines
from celeriac.worker.dispatch import Dispatcher
from celeriac.worker.inflight import InFlight
from tests.worker.claims import a_claimed

PATIENCE = SHED * 0.1  # of CLAIM_SECONDS
PID = 4711


class Prefork:
    """A pool, as far as deadlines look at it."""

    __module__ = "celery.concurrency.prefork"
    num_processes = 2

    def terminate_job(self, *_):
        pytest.fail("signals are sent to the process itself")


class Threads:
    __module__ = "celery.concurrency.thread"
    num_processes = 2


class Stage:
    """Real deadlines, dispatcher and board; the clock, the pool and the signals are played."""

    def __init__(self, monkeypatch, pool) -> None:
        self.now = 1000.0
        self.sent: list[tuple[int, int]] = []
        self.woken = 0
        worker = SimpleNamespace(pool=pool, time_limit=None, soft_time_limit=None, hostname="w@here")
        self.dispatcher = Dispatcher(worker, Board(4), self.wake)
        self.board = self.dispatcher.board
        monkeypatch.setattr(module, "now", lambda: self.now)
        monkeypatch.setattr(module, "send", lambda pid, signum: self.sent.append((pid, signum)))
        self.deadlines = Deadlines(self.dispatcher)

    def wake(self) -> None:
        self.woken += 1

    def claim(self, *limits, jobs=None, pid=PID, runs=0) -> InFlight:
        """A claim in the pool, of whose jobs one has just started."""
        known = [limit for pair in limits for limit in pair if limit is not None]
        slot = self.dispatcher.board.free.pop()
        held = [a_claimed() for _ in range(jobs or len(limits))]
        shortest = min(known, default=float("inf"))
        claim = InFlight(slot, held, limits if known else (), shortest, begun=self.now, pid=pid)
        self.dispatcher.claims.add(claim)
        if runs is not None:
            self.board.mark(slot, runs, self.now)
        return claim

    def look(self, after: float = 0.0) -> float:
        self.now += after
        return self.deadlines.look()


@pytest.fixture(params=[Prefork])
def stage(request, monkeypatch):
    return Stage(monkeypatch, request.param())


threads = pytest.mark.parametrize("stage", [Threads], indirect=True)
HARD, SOFT = signal.SIGKILL, signal.SIGUSR1


class TestSpare:
    """A claim that no process was free for goes back when none came."""

    @pytest.fixture
    def spare(self, stage):
        claim = stage.claim(jobs=3, pid=None, runs=None)
        claim.spare = True
        return claim

    def test_it_may_wait_as_long_as_another_may_run(self, stage, spare):
        assert stage.look(0.15) == pytest.approx(0.05)
        assert stage.board.may_start(spare.slot) == (stage.board.fresh_until > 0)
        assert not stage.dispatcher.fallen

    def test_then_it_is_halted_and_given_back_once_nobody_can_have_come(self, stage, spare):
        stage.board.fresh_until = float("inf")
        assert stage.look(0.2) == SOON
        assert not stage.board.may_start(spare.slot)
        assert spare in stage.dispatcher.claims
        stage.look(SOON / 2)  # somebody woke the thread
        assert spare in stage.dispatcher.claims
        stage.look(SOON / 2 + 1e-6)
        [fallen] = stage.dispatcher.fallen
        assert (fallen.claim, tuple(fallen.blamed)) == (spare, ())
        assert spare in stage.dispatcher.retired
        assert spare.slot not in stage.board.free  # a process may still come to it
        assert stage.woken

    def test_a_process_that_came_in_the_same_moment_keeps_it(self, stage, spare):
        """It saw no halt, and begins; after that job it does, and gives back the rest itself."""
        stage.look(0.2)
        stage.board.take(spare.slot)
        for _ in range(100):
            stage.look(0.05)
            assert spare in stage.dispatcher.claims
            spare.pid = PID
        assert not stage.dispatcher.fallen

    def test_one_that_was_taken_is_like_any_other(self, stage, spare):
        stage.board.take(spare.slot)
        spare.pid = PID
        stage.board.fresh_until = float("inf")
        stage.look(30.0)
        assert stage.board.may_start(spare.slot)

    def test_a_claim_for_a_free_process_is_not_hurried(self, stage):
        claim = stage.claim(jobs=3, pid=None, runs=None)
        stage.look(UNTAKEN - 0.1)
        assert not stage.dispatcher.fallen
        assert not stage.board.taken(claim.slot)


class TestEnforced:
    def test_nothing_is_done_before_its_time(self, stage):
        stage.claim((0.5, 0.8))
        assert stage.look(0.49) == pytest.approx(0.01)
        assert stage.sent == []

    def test_the_soft_limit_comes_first_then_the_hard_one(self, stage):
        claim = stage.claim((0.5, 0.8))
        assert stage.look(0.5) == pytest.approx(0.3)
        assert stage.sent == [(PID, SOFT)]
        assert stage.board.is_late(claim.slot, 0)
        stage.look(0.31)
        assert stage.sent == [(PID, SOFT), (PID, HARD)]
        assert isinstance(claim.ended_by, TimeLimitExceeded)
        assert claim.ended_index == 0

    def test_each_is_enforced_once_however_often_it_looks(self, stage):
        stage.claim((0.5, 0.8))
        for _ in range(30):
            stage.look(0.1)
        assert stage.sent == [(PID, SOFT), (PID, HARD)]

    def test_only_a_soft_one_is_never_a_kill_and_only_a_hard_one_no_warning(self, stage):
        stage.claim((0.5, None), pid=1)
        stage.claim((None, 0.5), pid=2)
        for _ in range(30):
            stage.look(0.1)
        assert sorted(stage.sent) == [(1, SOFT), (2, HARD)]

    def test_a_job_is_measured_from_its_own_start_by_its_own_limits(self, stage):
        claim = stage.claim((0.5, None), (None, None), (0.5, None))
        stage.look(0.4)
        stage.board.mark(claim.slot, 1, stage.now)
        stage.look(5.0)
        stage.board.mark(claim.slot, 2, stage.now)
        stage.look(0.4)
        assert stage.sent == []
        stage.look(0.1)
        assert (stage.sent, claim.called) == ([(PID, SOFT)], 2)

    def test_each_job_of_a_claim_is_called_for_itself(self, stage):
        claim = stage.claim((0.5, None), (0.5, None))
        stage.look(0.5)
        stage.board.mark(claim.slot, 1, stage.now)
        stage.look(0.4)
        assert len(stage.sent) == 1
        stage.look(0.1)
        assert len(stage.sent) == 2
        assert stage.board.is_late(claim.slot, 1)

    def test_who_is_past_both_when_it_is_seen_first_is_killed_at_once(self, stage):
        stage.claim((0.5, 0.8))
        stage.look(60.0)
        assert stage.sent == [(PID, HARD)]

    def test_a_hard_limit_halts_the_claim_first_so_that_nothing_starts_under_the_blow(self, stage, monkeypatch):
        claim = stage.claim((None, 0.5), (None, None))
        stage.board.fresh_until = float("inf")
        halt = stage.board.halt

        def ends_just_now(slot):
            halt(slot)
            stage.board.mark(slot, 1, stage.now)

        monkeypatch.setattr(stage.board, "halt", ends_just_now)
        assert stage.look(0.5) <= SOON
        assert (stage.sent, claim.ended_by) == ([], None)
        assert not stage.board.may_start(claim.slot)

    @pytest.mark.parametrize("limits", [(0.5, None), (None, 0.5)])
    def test_a_process_that_has_not_said_who_it_is_is_asked_again_soon(self, stage, limits):
        claim = stage.claim(limits, pid=None)
        assert stage.look(0.5) <= SOON
        assert (stage.sent, claim.called, claim.ended_by) == ([], NOBODY, None)
        claim.pid = PID
        stage.look(SOON)
        assert len(stage.sent) == 1

    def test_a_process_that_is_gone_already_is_no_error(self, monkeypatch):
        def gone(*_):
            raise ProcessLookupError

        monkeypatch.setattr("os.kill", gone)
        module.send(PID, SOFT)


class TestClaimMates:
    def test_are_given_back_when_one_body_takes_long(self, stage):
        claim = stage.claim(jobs=3)
        assert stage.look(PATIENCE - 0.1) <= 0.1 + PATIENCE
        assert not stage.dispatcher.to_release
        stage.look(0.1)
        assert list(stage.dispatcher.to_release) == [claim.jobs[1:]]
        assert stage.woken == 1

    def test_are_given_back_once(self, stage):
        stage.claim(jobs=3)
        for _ in range(5):
            stage.look(PATIENCE)
        assert len(stage.dispatcher.to_release) == 1

    def test_are_left_to_the_process_that_gave_them_back_itself(self, stage):
        claim = stage.claim(jobs=3)
        stage.board.mark_shed(claim.slot)
        stage.look(PATIENCE)
        assert not stage.dispatcher.to_release

    def test_that_ran_before_are_not_given_back(self, stage):
        claim = stage.claim(jobs=3, runs=1)
        stage.look(PATIENCE)
        assert list(stage.dispatcher.to_release) == [claim.jobs[2:]]

    def test_of_the_last_job_are_none(self, stage):
        stage.claim(jobs=3, runs=2)
        stage.look(PATIENCE)
        assert not stage.dispatcher.to_release


@threads
class TestThreads:
    def test_a_limit_that_nobody_can_enforce_is_said_once(self, stage, caplog):
        caplog.set_level(logging.ERROR, "celeriac")
        heard = []
        subscriber = events.subscribe(lambda name, facts: heard.append((name, facts["which"], facts["limit"])))
        try:
            claim = stage.claim((0.5, 0.8))
            for _ in range(30):
                stage.look(0.1)
        finally:
            events.unsubscribe(subscriber)
        assert heard == [("overdue", "soft", 0.5), ("overdue", "hard", 0.8)]
        assert len(caplog.messages) == 2
        assert all(str(claim.jobs[0].id) in said for said in caplog.messages)
        assert stage.sent == []

    def test_the_job_is_shown_as_stuck_until_it_ends(self, stage):
        claim = stage.claim((0.5, None), (None, None))
        assert stage.deadlines.stuck() == []
        stage.look(0.5)
        assert stage.deadlines.stuck() == [str(claim.jobs[0].id)]
        stage.board.mark(claim.slot, 1, stage.now)
        assert stage.deadlines.stuck() == []

    def test_its_claim_mates_are_given_back_too(self, stage):
        stage.claim(jobs=2)
        stage.look(PATIENCE)
        assert len(stage.dispatcher.to_release) == 1


class TestUntaken:
    def test_a_claim_that_no_process_takes_is_given_up(self, stage):
        claim = stage.claim(jobs=2, pid=None, runs=None)
        stage.look(UNTAKEN)
        assert not stage.dispatcher.fallen
        stage.look(0.1)
        [fallen] = stage.dispatcher.fallen
        assert (fallen.claim, fallen.blamed) == (claim, ())
        assert not stage.dispatcher.claims

    @threads
    def test_in_a_pool_of_threads_it_may_wait_in_line(self, stage):
        stage.claim(jobs=2, pid=None, runs=None)
        stage.look(100 * UNTAKEN)
        assert not stage.dispatcher.fallen


class TestWhenToLook:
    def test_without_claims_it_rests(self, stage):
        assert stage.look() == REST

    def test_a_claim_whose_body_has_not_started_is_not_due_before_its_shortest_limit(self, stage):
        stage.claim((0.5, 0.9), (None, 0.3), runs=None)
        assert stage.look(0.0) == pytest.approx(0.3)

    limits = st.none() | st.integers(1, 60).map(lambda n: n / 20)

    @settings(deadline=None)
    @given(st.lists(st.tuples(limits, limits), min_size=1, max_size=3))
    def test_no_limit_is_passed_by_more_than_a_moment_when_it_looks_as_it_says(self, pairs):
        with pytest.MonkeyPatch.context() as monkeypatch:
            stage = Stage(monkeypatch, Prefork())
            claims = [stage.claim(pair, pid=pid) for pid, pair in enumerate(pairs, 1)]
            start, rest, at = stage.now, stage.look(), []
            while stage.now < start + 4.0:
                assert 0 < rest <= REST
                rest = stage.look(rest)
                at += [stage.now - start] * (len(stage.sent) - len(at))
        for claim, (soft, hard) in zip(claims, pairs, strict=True):
            assert (claim.ended_by is not None) == (hard is not None)
            assert (claim.called == 0) == (soft is not None and (hard is None or soft < hard))
        assert at == pytest.approx(sorted(due for pair in pairs for due in self.enforced(*pair)), abs=0.01)

    def enforced(self, soft, hard):
        return [due for due in (soft if hard is None or soft is None or soft < hard else None, hard) if due]

    @pytest.mark.parametrize(("limit", "wakes"), [(0.1, True), (REST + 0.1, False)])
    def test_a_claim_that_is_due_before_the_next_look_wakes_it(self, stage, limit, wakes):
        stage.look()
        stage.deadlines.watch(stage.claim((limit, None)))
        assert stage.deadlines._wake.is_set() is wakes

    def test_a_claim_that_comes_while_it_looks_has_it_look_again(self, stage, monkeypatch):
        seen, see_to = itertools.count(), stage.deadlines._see_to

        def another_comes(claim):
            if next(seen) == 0:
                stage.deadlines.watch(stage.claim((0.1, None)))
            return see_to(claim)

        monkeypatch.setattr(stage.deadlines, "_see_to", another_comes)
        stage.claim((None, 60.0))
        rest = stage.look()
        assert stage.deadlines._wake.is_set() or rest <= 0.1
