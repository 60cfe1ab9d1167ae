"""The flight recorder is read after the crash, so it must outlive it."""

from __future__ import annotations

import os
import signal

import pytest

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
