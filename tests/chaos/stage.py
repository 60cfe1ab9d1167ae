"""The stage of one scenario: its servers, workers and jobs, and what was done to them."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos import witness
from tests.chaos.crew import Crew
from tests.chaos.peers import Call, Celeriac, End, Stock
from tests.waiting import wait_until

BATCH = 250


class Skip(Exception):
    """This cannot be tried here; the message says why."""


@dataclass
class Ticks:
    """What became of the ticks of schedules that were due."""

    due: int
    lost: int
    doubled: int
    unaccounted: int


class Stage:
    """What a scenario plays on. `one.py` makes it and takes it down."""

    def __init__(self, *, peer: str, database: str, seed: int, scale: float, env: dict[str, str], servers: Any) -> None:
        self.peer = {"celeriac": Celeriac, "celery": Stock}[peer]()
        self.database = database
        self.seed = seed
        self.scale = scale
        self.dice = random.Random(seed)
        self.postgres, self.broker = servers
        self.home = Path(env["CHAOS_WITNESS"]).parent
        self.env = env
        self.crew = Crew(self.peer.app, env, self.home, self.dice)
        self.asked: dict[int, str] = {}
        self.expected: dict[int, tuple[str, str] | None] = {}  # None: however it likes
        self.faults: Counter[str] = Counter()
        self.outages: list[tuple[float, float]] = []
        self.broken: list[str] = []
        self.notes: list[str] = []
        self.recovery: float | None = None
        self.limit: float | None = None  # of seconds to recover
        self.measured: set[int] = set()  # jobs whose way back is measured
        self.last_fault = time.monotonic()
        self.ticks: Ticks | None = None  # where schedules ask, and not the scenario
        self._next = 1

    @property
    def is_ours(self) -> bool:
        return self.peer.name == "celeriac"

    @property
    def patience(self) -> float:
        """Seconds in which a killed worker's jobs run again, by promise; stock Celery waits for its timeout."""
        if not self.is_ours:
            return 45.0
        if self.database != "postgresql":
            return 15.0
        # The smoke subset runs beside other tests: one second more for the machine.
        return 3.0 if self.scale >= 1 else 4.0

    # -- jobs

    def ask(self, calls: Sequence[Call]) -> range:
        """Ask for *calls* and return their numbers; what is refused was never asked."""
        numbers = range(self._next, self._next + len(calls))
        self._next = numbers.stop
        batch = list(zip(numbers, calls, strict=True))
        for start in range(0, len(batch), BATCH):
            part = batch[start : start + BATCH]
            self.peer.send(part)
            self.asked.update((number, call.task) for number, call in part)
        return numbers

    def mixture(self, count: int) -> list[Call]:
        """Return ordinary jobs of 5-20 ms, every fifth one atomic."""
        return [
            Call("effect", (self.dice.uniform(0.002, 0.008),))
            if index % 5 == 0
            else Call("work", (self.dice.uniform(0.005, 0.020),))
            for index in range(max(20, int(count * self.scale)))
        ]

    def spread(self, slow: int, seconds: float, among: Sequence[Call]) -> list[Call]:
        """Put *slow* jobs of *seconds* into the first half of *among*."""
        calls = list(among)
        for index in range(slow):
            calls.insert(index * len(among) // (2 * slow), Call("work", (seconds,)))
        return calls

    def times(self, count: int) -> int:
        """Return *count* as scaled, at least 1."""
        return max(1, round(count * self.scale))

    # -- faults

    def fault(self, what: str, do: Callable[[], Any] = lambda: None) -> Any:
        """Do it, and remember that it was done."""
        self.faults[what] += 1
        done = do()
        self.last_fault = time.monotonic()
        return done

    def pause(self, seconds: float) -> None:
        """Let the world run. The moment of a fault is the scenario's input: there is nothing to wait for."""
        threading.Event().wait(seconds)

    def outage(self, begin: Callable[[], Any], over: Callable[[], Any], seconds: float, what: str) -> None:
        """Take the ledger away for *seconds*."""
        begun = time.monotonic()
        self.fault(what, begin)
        self.pause(seconds)
        over()
        self.last_fault = time.monotonic()
        # What could not be written meanwhile is written within the backoff's cap.
        self.outages.append((begun, self.last_fault + 6.0))

    # -- waiting

    def runs(self) -> list[witness.Run]:
        return witness.read(Path(self.env["CHAOS_WITNESS"]))

    def wait_for_starts(self, count: int, timeout: float = 40.0) -> None:
        """Wait until *count* bodies have started: a fault before that would hit nothing."""
        wait_until(lambda: len(self.runs()) >= count, timeout, every=0.1)

    def is_running(self, numbers: Iterable[int]) -> bool:
        """Whether each of *numbers* has a body that has started and not ended."""
        current = {run.number for run in self.runs() if run.end is None}
        return current.issuperset(numbers)

    def settled(self, numbers: Iterable[int]) -> bool:
        from django.db import connections

        self.crew.supervise()
        if not self.is_ours:
            # A result that cannot be stored is the record's loss, not the job's.
            ended = {run.number for run in self.runs() if run.end is not None and not run.raised}
            numbers = set(numbers) - ended
        try:
            return self.peer.is_done(numbers)
        except Exception:  # noqa: BLE001 - the ledger may be away, and that is no answer
            connections.close_all()
            return False

    def drain(self, seconds: float, numbers: Iterable[int] | None = None) -> float | None:
        """Wait until the jobs (all, or *numbers*) have ended, at most *seconds*; return how long it took."""
        wanted = list(self.asked if numbers is None else numbers)
        begun = time.monotonic()
        try:
            wait_until(lambda: self.settled(wanted), seconds, every=0.1)
        except AssertionError:
            return None
        return time.monotonic() - begun

    def next_start(self, after: float) -> float | None:
        """Seconds from *after* to the next start of a body."""
        return min((run.start - after for run in self.runs() if run.start > after), default=None)

    # -- what must hold

    def require(self, holds: object, sentence: str) -> None:
        """Note *sentence* as broken unless it *holds*."""
        if not holds:
            self.broken.append(sentence)

    def require_untouched(self, numbers: Iterable[int]) -> None:
        """No attempt and no loss may have been charged to *numbers*."""
        if self.is_ours:
            ends = self.peer.ends()
            charged = [n for n in numbers if (end := ends.get(n, End("gone"))).attempt or end.losses]
            self.require(not charged, f"{len(charged)} neighbours were charged an attempt")

    def expect(self, numbers: Iterable[int], state: str, reason: str = "") -> None:
        """Say how *numbers* are to end, where it is not in success."""
        self.expected.update((number, (state, reason)) for number in numbers)

    def down(self) -> None:
        self.crew.end()


def make_home() -> Path:
    return Path(tempfile.mkdtemp(prefix="celeriac-chaos-"))


def remove_home(home: Path) -> None:
    if not os.environ.get("CHAOS_KEEP"):
        shutil.rmtree(home, ignore_errors=True)
