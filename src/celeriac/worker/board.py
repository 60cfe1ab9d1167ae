"""The flight recorder: which job of its claim each pool process is running, in memory that outlives the process.

The board is an anonymous shared mapping made before the pool forks. A slot is given to a claim by the parent; the
process that runs the claim marks the job before its body starts and clears the mark after its end. When a process
dies, the parent reads who to blame: that job and no other. One more byte tells every process to start nothing new.
A second mapping says the other way which jobs of each claim somebody asked to cancel: a byte a job, written by the
parent, so that a body may look as often as it likes.
"""

import mmap
import struct

__all__ = ["Board", "board"]

_IDLE = -1
_SLOT = struct.Struct("=qd")  # index in the claim, time.monotonic() of its start (one clock for all on a host)
_HEAD = 16
SLOTS = 1024
#: The largest claim: a byte a job, a page a slot. Memory that nobody writes to costs nothing.
JOBS = 4096


class Board:
    """A fixed number of slots in shared memory. Writes are small, aligned and by one process each: no lock."""

    def __init__(self, slots: int = SLOTS) -> None:
        self._memory = mmap.mmap(-1, _HEAD + slots * 16)
        self._cancels = mmap.mmap(-1, slots * JOBS)
        self.free = list(range(slots - 1, -1, -1))
        for slot in range(slots):
            self.clear(slot)

    def mark(self, slot: int, index: int, started: float) -> None:
        """Say that job *index* of the slot's claim starts now."""
        _SLOT.pack_into(self._memory, _HEAD + slot * 16, index, started)

    def clear(self, slot: int) -> None:
        """Say that no body is running in the slot."""
        _SLOT.pack_into(self._memory, _HEAD + slot * 16, _IDLE, 0.0)

    def running(self, slot: int) -> tuple[int, float] | None:
        """Return (index, start) of the job whose body is running in the slot, or None."""
        index, started = _SLOT.unpack_from(self._memory, _HEAD + slot * 16)
        return None if index == _IDLE else (index, started)

    def cancel(self, slot: int, index: int) -> None:
        """Say that job *index* of the slot's claim is to be cancelled."""
        self._cancels[slot * JOBS + index] = 1

    def cancelled(self, slot: int, index: int) -> bool:
        """Whether job *index* of the slot's claim is to be cancelled."""
        return self._cancels[slot * JOBS + index] == 1

    def forget_cancels(self, slot: int, jobs: int) -> None:
        """Begin a claim of so many jobs: nobody asked to cancel any of them."""
        self._cancels[slot * JOBS : slot * JOBS + jobs] = bytes(jobs)

    @property
    def draining(self) -> bool:
        """Whether nothing new may start."""
        return self._memory[0] == 1

    @draining.setter
    def draining(self, value: bool) -> None:
        self._memory[0] = 1 if value else 0


#: Made when the worker's step is created, before the pool forks, and inherited by every process of the pool.
board: Board | None = None


def install() -> Board:
    """Make this process's board (and its future children's)."""
    global board
    board = Board()
    return board
