"""The flight recorder: which job of its claim each pool process is running, in memory that outlives the process.

The board is an anonymous shared mapping made before the pool forks. A slot is given to a claim by the parent; the
process that runs the claim marks the job before its body starts and clears the mark after its end. When a process
dies, the parent reads who to blame: that job and no other. The other way round the parent says what it wants of the
claim. A head tells every process what holds for all: whether the worker drains, and until when nobody can have taken
it for lost. A second mapping says which jobs of each claim somebody asked to cancel: a byte a job, so that a body may
look as often as it likes.
"""

import mmap
import os
import struct
import time

__all__ = ["Board", "board", "now"]

SLOTS = 1024
NOBODY = -1

_HEAD = 16  # byte 0: draining; bytes 8-15: fresh_until
_FRESH = struct.Struct("=d")
_FRESH_AT = 8

_SLOT = 32
_MARK = struct.Struct("=qd")  # index in the claim, now() of its start
_HALT_AT, _SHED_AT, _COMMIT_AT, _TAKEN_AT = 16, 17, 18, 19  # bytes
_OPEN, _COMMITTED, _REFUSED = range(3)  # of the claim's commit
_LATE = struct.Struct("=q")  # index of the job that is past its soft limit
_LATE_AT = 24

_TEXT = 2048  # bytes of log a slot keeps, length first
_LENGTH = struct.Struct("=q")

#: One clock for all processes of a host. It goes on while the machine sleeps, and so do the others who judge us.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Return seconds of a steady clock that counts a machine's sleep."""
    return time.clock_gettime(_CLOCK)


#: The largest claim: a byte a job, a page a slot. Memory that nobody writes to costs nothing.
JOBS = 4096


class Board:
    """A fixed number of slots in shared memory. Writes are small, aligned and by one process each: no lock."""

    def __init__(self, slots: int = SLOTS) -> None:
        self.owner = os.getpid()
        self._texts = _HEAD + slots * _SLOT
        self._memory = mmap.mmap(-1, self._texts + slots * _TEXT)
        self._cancels = mmap.mmap(-1, slots * JOBS)
        self.free = list(range(slots - 1, -1, -1))
        for slot in range(slots):
            self.give(slot)

    # -- by the parent

    def give(self, slot: int, *, committed: bool = True) -> None:
        """Make the slot ready for another claim, which is committed or will be."""
        self.clear(slot)
        at = _HEAD + slot * _SLOT
        self._memory[at + _HALT_AT] = self._memory[at + _SHED_AT] = self._memory[at + _TAKEN_AT] = 0
        self._memory[at + _COMMIT_AT] = _COMMITTED if committed else _OPEN
        self.call_time(slot, NOBODY)

    def decide(self, slot: int, *, committed: bool) -> None:
        """Say that the slot's claim is committed, or that it may not be."""
        self._memory[_HEAD + slot * _SLOT + _COMMIT_AT] = _COMMITTED if committed else _REFUSED

    def running(self, slot: int) -> tuple[int, float] | None:
        """Return (index, start) of the job whose body is running in the slot, or None."""
        index, started = _MARK.unpack_from(self._memory, _HEAD + slot * _SLOT)
        return None if index == NOBODY else (index, started)

    def halt(self, slot: int) -> None:
        """Have the claim start no further body."""
        self._memory[_HEAD + slot * _SLOT + _HALT_AT] = 1

    def shed(self, slot: int) -> bool:
        """Whether what of the claim had not started was given back."""
        return self._memory[_HEAD + slot * _SLOT + _SHED_AT] == 1

    def taken(self, slot: int) -> bool:
        """Whether a process has come for the claim."""
        return self._memory[_HEAD + slot * _SLOT + _TAKEN_AT] == 1

    def call_time(self, slot: int, index: int) -> None:
        """Say that this job of the claim is past its soft limit."""
        _LATE.pack_into(self._memory, _HEAD + slot * _SLOT + _LATE_AT, index)

    def text(self, slot: int) -> str:
        """Return the last lines logged by the body in the slot."""
        at = self._texts + slot * _TEXT
        (length,) = _LENGTH.unpack_from(self._memory, at)
        start = at + _LENGTH.size
        return self._memory[start : start + length].decode("utf-8", "replace")

    # -- by the process that runs the claim

    def take(self, slot: int) -> None:
        """Say that this process has come for the claim, before it looks whether it may start anything of it."""
        self._memory[_HEAD + slot * _SLOT + _TAKEN_AT] = 1

    def may_start(self, slot: int) -> bool:
        """Whether the next body of the claim may start: nobody said otherwise, and nobody can have taken its job."""
        return not self._memory[0] and not self._memory[_HEAD + slot * _SLOT + _HALT_AT] and now() < self.fresh_until

    def decision(self, slot: int) -> bool | None:
        """Whether the slot's claim is committed; None until somebody said so."""
        said = self._memory[_HEAD + slot * _SLOT + _COMMIT_AT]
        return None if said == _OPEN else said == _COMMITTED

    def mark(self, slot: int, index: int, started: float) -> None:
        """Say that job *index* of the slot's claim starts now."""
        _LENGTH.pack_into(self._memory, self._texts + slot * _TEXT, 0)
        _MARK.pack_into(self._memory, _HEAD + slot * _SLOT, index, started)

    def clear(self, slot: int) -> None:
        """Say that no body is running in the slot."""
        _MARK.pack_into(self._memory, _HEAD + slot * _SLOT, NOBODY, 0.0)

    def mark_shed(self, slot: int) -> None:
        """Say that what of the claim had not started was given back."""
        self._memory[_HEAD + slot * _SLOT + _SHED_AT] = 1

    def is_late(self, slot: int, index: int) -> bool:
        """Whether the job was said to be past its soft limit."""
        return bool(_LATE.unpack_from(self._memory, _HEAD + slot * _SLOT + _LATE_AT)[0] == index)

    def write_text(self, slot: int, text: str) -> None:
        """Keep the end of *text* as what the running body logged."""
        data = text.encode("utf-8", "replace")[-(_TEXT - _LENGTH.size) :]
        at = self._texts + slot * _TEXT
        start = at + _LENGTH.size
        self._memory[start : start + len(data)] = data
        _LENGTH.pack_into(self._memory, at, len(data))

    # -- for all

    @property
    def fresh_until(self) -> float:
        """Until when, by `now()`, nobody can have taken this worker for lost. No body may start after that."""
        return float(_FRESH.unpack_from(self._memory, _FRESH_AT)[0])

    @fresh_until.setter
    def fresh_until(self, value: float) -> None:
        _FRESH.pack_into(self._memory, _FRESH_AT, value)

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
