"""The prefork pool, whose processes share no lock that one of them can take along when it dies.

An idle pool process waits for work with the lock of the pool's pipe in its hands, so that no other reads half of its
message. billiard's lock is a semaphore: when that process is killed, by the OOM killer, an operator, a segfault, the
semaphore stays taken, and no process of the pool ever hears of work again, while the worker lives and renews itself.
"""

import fcntl
import tempfile
from typing import Any

from billiard.pool import Pool
from celery.concurrency import prefork

__all__ = ["RecordLock", "TaskPool", "ours"]


class RecordLock:
    """A lock between a process and those it forks: a POSIX record lock, see fcntl(2).

    The kernel takes it from a process that ends, however it ends. It is a process's and not a thread's, which is enough
    here: in a pool process only the main thread reads work and writes results.
    """

    def __init__(self) -> None:
        # Never read or written, and gone with the last process that has it open.
        self._file = tempfile.TemporaryFile(prefix="celeriac-pool-", buffering=0)  # noqa: SIM115

    def acquire(self) -> bool:
        """Wait for the lock, and take it."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Let go of the lock; of one that is not held, nothing."""
        fcntl.lockf(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close this process's file; with that it lets go, too."""
        self._file.close()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class BlockingPool(Pool):
    """billiard's pool with such locks, where processes are forked; a spawned one could not be given them.

    And with room for one claim more than it has processes: whichever ends its own first finds another to take.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._putlock.grow()

    def _setup_queues(self) -> None:
        super()._setup_queues()
        if self._ctx.get_start_method() == "fork":
            self._inqueue._rlock = RecordLock()  # noqa: SLF001 - our own queues, before any process has them
            self._outqueue._wlock = RecordLock()  # noqa: SLF001


class TaskPool(prefork.TaskPool):
    """Celery's prefork pool, made of those."""

    BlockingPool = BlockingPool


def ours(pool: Any) -> Any:
    """Return our pool in the place of Celery's prefork; any other pool as it is."""
    return TaskPool if pool is prefork.TaskPool else pool
