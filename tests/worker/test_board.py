"""The flight recorder is read after the crash, so it must outlive it."""

from __future__ import annotations

import os
import signal

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from celeriac.worker import board as boards
from celeriac.worker.board import Board


@pytest.fixture
def fork():
    """Run `body` in a forked child that then waits to be killed; return once it has run."""
    children: list[int] = []

    def child(body) -> int:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                body()
                os.write(write, b"ran")
                while True:
                    signal.pause()
            finally:
                os._exit(1)
        children.append(pid)
        os.close(write)
        try:
            assert os.read(read, 3) == b"ran"
        finally:
            os.close(read)
        return pid

    def kill(pid: int) -> None:
        children.remove(pid)
        os.kill(pid, signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL

    child.kill = kill
    yield child
    while children:
        kill(children[-1])


def test_a_new_board_is_idle_everywhere():
    board = Board(8)
    assert [board.running(slot) for slot in range(8)] == [None] * 8
    assert sorted(board.free) == list(range(8))
    assert not board.draining


def test_a_mark_says_which_job_runs_since_when_until_it_is_cleared():
    board = Board(3)
    board.mark(1, 7, 1234.5678)
    assert [board.running(slot) for slot in range(3)] == [None, (7, 1234.5678), None]
    board.mark(1, 0, 0.0)
    assert board.running(1) == (0, 0.0)
    board.clear(1)
    assert board.running(1) is None


def test_slots_do_not_overlap():
    board = Board()
    for slot in range(boards.SLOTS):
        board.mark(slot, slot * 1000, slot / 3)
    assert [board.running(slot) for slot in range(boards.SLOTS)] == [(n * 1000, n / 3) for n in range(boards.SLOTS)]
    assert not board.draining


def test_a_mark_survives_the_kill_of_the_process_that_made_it(fork):
    board = Board(4)
    pid = fork(lambda: board.mark(2, 5, 99.25))
    fork.kill(pid)
    assert board.running(2) == (5, 99.25)


def test_a_process_that_had_cleared_its_mark_is_not_blamed(fork):
    board = Board(4)

    def run_two():
        board.mark(0, 0, 1.0)
        board.clear(0)

    fork.kill(fork(run_two))
    assert board.running(0) is None


def test_children_mark_their_own_slots(fork):
    board = Board(4)
    for slot in range(4):
        fork(lambda slot=slot: board.mark(slot, slot, float(slot)))
    assert [board.running(slot) for slot in range(4)] == [(n, float(n)) for n in range(4)]


def test_draining_reaches_children_that_were_there_before(fork):
    board = Board(2)
    read, write = os.pipe()

    def watch():
        signal.signal(signal.SIGUSR1, lambda *_: os.write(write, b"1" if board.draining else b"0"))

    for draining in (True, False):
        pid = fork(watch)
        board.draining = draining
        os.kill(pid, signal.SIGUSR1)
        assert os.read(read, 1) == (b"1" if draining else b"0")
    os.close(read)
    os.close(write)


def test_a_child_sees_what_is_cancelled_while_it_runs(fork):
    board = Board(2)
    read, write = os.pipe()

    def watch():
        signal.signal(signal.SIGUSR1, lambda *_: os.write(write, bytes(board.cancelled(1, n) for n in range(3))))

    pid = fork(watch)
    board.cancel(1, 2)
    os.kill(pid, signal.SIGUSR1)
    assert os.read(read, 3) == b"\0\0\1"
    os.close(read)
    os.close(write)


def test_install_makes_the_processs_board(monkeypatch):
    monkeypatch.setattr(boards, "board", None)
    assert boards.install() is boards.board


class TestEveryField:
    """Whatever is written to one field of one slot, all others say what they said before."""

    slots = st.integers(0, 3)
    indexes = st.integers(0, 2**40)
    times = st.floats(0.0, 1e9)
    writes = st.lists(
        st.one_of(
            st.tuples(st.just("mark"), slots, indexes, times),
            st.tuples(st.just("clear"), slots),
            st.tuples(st.just("halt"), slots),
            st.tuples(st.just("mark_shed"), slots),
            st.tuples(st.just("call_time"), slots, indexes),
            st.tuples(st.just("write_text"), slots, st.text(max_size=40)),
            st.tuples(st.just("give"), slots),
            st.tuples(st.just("draining"), st.booleans()),
            st.tuples(st.just("fresh_until"), times),
        ),
        max_size=25,
    )
    idle = {"mark": None, "halt": False, "shed": False, "late": boards.NOBODY, "text": ""}

    @settings(deadline=None)
    @given(writes)
    def test_keeps_what_was_written_to_it_last(self, writes):
        board = Board(4)
        said = [dict(self.idle) for _ in range(4)]
        head = {"draining": False, "fresh_until": 0.0}
        for name, *args in writes:
            if name in head:
                head[name] = args[0]
                setattr(board, name, args[0])
            else:
                getattr(board, name)(*args)
                self.note(said[args[0]], name, *args[1:])
            assert [self.read(board, slot, said[slot]["late"]) for slot in range(4)] == said
            assert (board.draining, board.fresh_until) == (head["draining"], head["fresh_until"])

    def note(self, slot, name, *values):
        if name == "give":
            slot.update(self.idle, text=slot["text"])
        else:
            fields = {"mark": "mark", "clear": "mark", "halt": "halt", "mark_shed": "shed", "call_time": "late"}
            cleared = {"clear": None, "halt": True, "mark_shed": True}
            written = values if name == "mark" else values[0] if values else cleared[name]
            slot[fields.get(name, "text")] = written
            if name == "mark":
                slot["text"] = ""

    def read(self, board, slot, late):
        at = boards._HEAD + slot * boards._SLOT + boards._HALT_AT
        assert board.is_late(slot, late)
        halted, shed = board._memory[at] == 1, board.shed(slot)
        return {"mark": board.running(slot), "halt": halted, "shed": shed, "late": late, "text": board.text(slot)}


class TestMayStart:
    @pytest.fixture
    def board(self):
        board = Board(2)
        board.fresh_until = boards.now() + 3600
        return board

    def test_a_body_may_start_while_nobody_says_otherwise(self, board):
        assert board.may_start(0)

    def test_no_body_may_start_before_the_first_renewal(self):
        assert not Board(1).may_start(0)

    def test_no_body_may_start_once_others_may_have_taken_the_worker_for_lost(self, board):
        board.fresh_until = boards.now()
        assert not board.may_start(0)

    def test_nothing_starts_in_a_draining_worker(self, board):
        board.draining = True
        assert not board.may_start(0)
        board.draining = False
        assert board.may_start(0)

    def test_nothing_more_starts_in_a_halted_claim_until_the_slot_is_given_again(self, board):
        board.halt(1)
        assert (board.may_start(0), board.may_start(1)) == (True, False)
        board.give(1)
        assert board.may_start(1)


class TestText:
    @given(st.text(max_size=5000))
    def test_the_end_of_a_long_one_is_kept(self, text):
        board = Board(2)
        board.write_text(0, text)
        kept = board.text(0)
        data = text.encode("utf-8", "replace")
        assert len(kept.encode()) <= boards._TEXT + 4
        assert data.decode("utf-8", "replace").endswith(kept.lstrip("\ufffd"))
        assert board.text(1) == ""

    def test_a_new_body_has_none(self):
        board = Board(1)
        board.write_text(0, "of the one before")
        board.mark(0, 1, 2.0)
        assert board.text(0) == ""


class TestCancels:
    places = st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 2, boards.JOBS - 2, boards.JOBS - 1]))

    @settings(deadline=None)
    @given(st.lists(places, max_size=8, unique=True), st.integers(0, 3))
    def test_mark_one_job_of_one_claim_until_the_slot_begins_another(self, marked, begun):
        board = Board(4)
        board.mark(0, 1, 2.0)
        for slot, index in marked:
            board.cancel(slot, index)
        every = [(slot, index) for slot in range(4) for index in (0, 1, 2, boards.JOBS - 2, boards.JOBS - 1)]
        assert {place for place in every if board.cancelled(*place)} == set(marked)
        board.forget_cancels(begun, boards.JOBS)
        assert {place for place in every if board.cancelled(*place)} == {p for p in marked if p[0] != begun}
        assert board.running(0) == (1, 2.0)
