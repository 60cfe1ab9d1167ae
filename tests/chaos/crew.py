"""The workers of a scenario, and the ways to hurt them."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.chaos.coroner import Coroner, children_of, is_alive
from tests.chaos.witness import Run
from tests.waiting import wait_until
from tests.workers import Worker


class Crew:
    """Starts real workers, two processes each, and ends what is left of them."""

    def __init__(self, app: str, env: Mapping[str, str], home: Path, dice: random.Random) -> None:
        self.app = app
        self.env = dict(env)
        self.home = home
        self.dice = dice
        self.workers: list[Worker] = []
        self.beats: list[Worker] = []
        self.frozen: set[int] = set()
        self.kills = 0
        self.restarted = 0
        self._dismissed: set[int] = set()
        self.coroner = Coroner()
        self.coroner.start()

    # -- hiring

    def start(
        self, count: int = 1, *, env: Mapping[str, str] | None = None, concurrency: int = 2, wait: bool = True
    ) -> list[Worker]:
        """Start *count* workers; with *wait*, return when each can run jobs."""
        started = []
        for _ in range(count):
            name = f"w{len(self.workers)}"
            worker = Worker(
                self.app,
                *("-c", str(concurrency), "-n", f"{name}@chaos"),
                env=self.env | (env or {}),
                log=self.home / f"{name}.log",
            )
            self.workers.append(worker)
            self.coroner.watch(worker.pid)
            started.append(worker)
        if wait:
            for worker in started:
                worker.wait_for(" ready.", 40)
        return started

    def start_beats(self, count: int, *, env: Mapping[str, str] | None = None) -> None:
        """Start *count* `celery beat`, each with a file of its own where it keeps one; *env* is for the last."""
        for index in range(count):
            name = f"b{len(self.beats)}"
            beat = Worker(
                self.app,
                *("-s", str(self.home / f"{name}.schedule"), "--pidfile", ""),
                env=self.env | (dict(env or {}) if index == count - 1 else {}),
                log=self.home / f"{name}.log",
                program="beat",
            )
            self.beats.append(beat)
        for beat in self.beats:
            beat.wait_for("beat: Starting...", 40)

    def term_beat(self, beat: Worker) -> None:
        """End a `celery beat`, as a deploy does."""
        beat.send(signal.SIGTERM)
        beat.wait()

    @property
    def living(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.process.poll() is None and worker.pid not in self.frozen]

    @property
    def ready(self) -> list[Worker]:
        """Those that have said they are, oldest first."""
        return [worker for worker in self.living if " ready." in worker.output]

    def pool_of(self, worker: Worker) -> list[int]:
        """The pool's processes, by pid."""
        return sorted(pid for pid in children_of(worker.pid) if is_alive(pid))

    def running(self, runs: Iterable[Run], numbers: Iterable[int]) -> Worker | None:
        """Return a worker that is ready and runs the body of one of *numbers*."""
        pids = {run.pid for run in runs if run.end is None and run.number in set(numbers)}
        return next((worker for worker in self.ready if pids.intersection(self.pool_of(worker))), None)

    def supervise(self) -> None:
        """Do as every process manager does: a worker that ended though nobody asked it to is started again."""
        for worker in tuple(self.workers):
            if worker.process.poll() is not None and worker.pid not in self._dismissed:
                self._dismissed.add(worker.pid)
                self.restarted += 1
                self.start(wait=False)

    # -- hurting

    def kill_parent(self, worker: Worker) -> None:
        """SIGKILL to the main process alone."""
        self.coroner.look()  # its children are found through it: the last chance
        self.kills += 1
        self._dismissed.add(worker.pid)
        worker.send(signal.SIGKILL)
        worker.wait()

    def kill_child(self, worker: Worker) -> None:
        """SIGKILL to one process of the pool."""
        pool = self.pool_of(worker)
        if pool:
            self.kills += 1
            _kill(self.dice.choice(pool), signal.SIGKILL)

    def kill_all(self, worker: Worker) -> None:
        """SIGKILL to the main process and its pool, as the OOM killer does to a container."""
        self.coroner.look()
        self.kills += 1
        self._dismissed.add(worker.pid)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()

    def freeze(self, worker: Worker) -> None:
        """SIGSTOP to all its processes: a paused virtual machine, a laptop's lid."""
        self.frozen |= {worker.pid, *self.pool_of(worker)}
        os.killpg(worker.pid, signal.SIGSTOP)

    def thaw(self, worker: Worker) -> None:
        os.killpg(worker.pid, signal.SIGCONT)

    def term(self, worker: Worker, *, then_kill_after: float | None = None) -> float:
        """SIGTERM as a deploy sends it, and SIGKILL to what is left; return the seconds it took to be gone."""
        asked = time.monotonic()
        self._dismissed.add(worker.pid)
        worker.send(signal.SIGTERM)
        if then_kill_after is not None:
            try:
                wait_until(lambda: worker.process.poll() is not None, then_kill_after)
            except AssertionError:
                self.kill_all(worker)
        return time.monotonic() - asked

    # -- the end

    def end(self) -> None:
        for worker in (*self.beats, *self.workers):
            if worker.process.poll() is None:
                _kill_group(worker.pid, signal.SIGCONT)
        for worker in (*self.beats, *self.workers):
            worker.end(grace=0.0)
        self.coroner.stop()


def _kill(pid: int, sig: signal.Signals) -> None:
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        pass


def _kill_group(pid: int, sig: signal.Signals) -> None:
    try:
        os.killpg(pid, sig)
    except ProcessLookupError:
        pass
