"""The coroner: notes when each process of the workers was last seen alive, and first seen dead."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from tests.chaos.witness import Deaths

#: How often it looks. A pool process is forked long before it can do any harm, so none is missed.
ROUND_SECONDS = 0.02


def children_of(pid: int) -> set[int]:
    """Return the children of all threads of *pid*: a pool's supervisor thread forks too."""
    found: set[int] = set()
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found.update(map(int, (task / "children").read_text().split()))
    except OSError:
        pass
    return found


def is_alive(pid: int) -> bool:
    """Whether *pid* may still do something: a zombie may not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


class Coroner(threading.Thread):
    """Looks at every process of every worker it was told of, until it is stopped."""

    def __init__(self) -> None:
        super().__init__(name="coroner", daemon=True)
        self.deaths = Deaths()
        self.worker_of: dict[int, int] = {}
        self._workers: set[int] = set()
        self._living: set[int] = set()
        self._over = threading.Event()

    def watch(self, worker: int) -> None:
        self._workers.add(worker)

    def run(self) -> None:
        # Processes tell nobody but their parent that they died: one has to look.
        while not self._over.wait(ROUND_SECONDS):
            self.look()

    def look(self) -> None:
        for worker in tuple(self._workers):
            family = {worker, *children_of(worker)}
            self.worker_of.update(dict.fromkeys(family, worker))
            self._living |= family - self.deaths.dead.keys()
        for pid in tuple(self._living):
            now = time.monotonic()
            if is_alive(pid):
                self.deaths.alive[pid] = now
            else:
                self.deaths.dead[pid] = now
                self._living.discard(pid)
                self._workers.discard(pid)

    def stop(self) -> None:
        self._over.set()
        self.join(5)
        self.look()
