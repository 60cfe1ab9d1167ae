"""The pool's locks: whoever dies with one gives it up."""

from __future__ import annotations

import os
import signal

import pytest
from celery.concurrency import prefork, solo

from celeriac.worker.prefork import RecordLock, TaskPool, ours


def fork(body) -> tuple[int, int]:
    """Run *body* in a forked process, which then stays; return its pid and a pipe that it writes to when it has."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        body()
        os.write(write, b"done")
        signal.pause()
        os._exit(0)
    os.close(write)
    return pid, read


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.fixture
def lock():
    lock = RecordLock()
    yield lock
    lock.close()


def test_a_lock_is_held_against_other_processes_and_freed_by_the_death_of_its_holder(lock):
    holder, held = fork(lock.acquire)
    assert os.read(held, 4) == b"done"
    waiter, got = fork(lock.acquire)
    os.set_blocking(got, False)
    try:
        assert _read(got) is None  # it waits: nothing was written, and the pipe is open
        end(holder)
        os.set_blocking(got, True)
        assert os.read(got, 4) == b"done"
    finally:
        end(waiter)
        os.close(held)
        os.close(got)


def _read(pipe: int) -> bytes | None:
    try:
        return os.read(pipe, 4)
    except BlockingIOError:
        return None


def test_a_lock_that_was_released_can_be_taken(lock):
    with lock:
        pass
    other, got = fork(lock.acquire)
    assert os.read(got, 4) == b"done"
    end(other)
    os.close(got)


def test_only_celerys_own_prefork_is_replaced():
    assert ours(prefork.TaskPool) is TaskPool
    assert ours(solo.TaskPool) is solo.TaskPool

    class Own(prefork.TaskPool):
        pass

    assert ours(Own) is Own
