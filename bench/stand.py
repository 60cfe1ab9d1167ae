"""Measure one system in a process of its own: `run.py` calls `stand.py <system> <plan as JSON>`.

Prints one line of JSON for each measure, so that what was measured survives a later measure's failure.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "src"), str(ROOT)]

from bodies import RECORD  # noqa: E402
from systems import System, load  # noqa: E402

from tests.servers import Guard, end_group  # noqa: E402


class Stand:
    """What a measure is given: the system, its worker, and what its jobs tell."""

    PROCESSES = 2

    def __init__(self, name: str, plan: dict[str, float], home: Path) -> None:
        self.plan = plan
        self.home = home
        self.log = Path(os.environ["BENCH_LOG"])
        self.inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.inbox.bind(os.environ["BENCH_SOCKET"])
        self.workers: list[subprocess.Popen[str]] = []
        self.guards: list[Guard] = []
        #: What was measured here so far, by measure.
        self.figures: dict[str, dict[str, float]] = {}
        #: What the running measure saw over time, by name: pairs of a second and a value.
        self.series: dict[str, list[tuple[float, float]]] = {}
        self.system: System = load(name)
        self.system.setup()

    def hear(self, seconds: float) -> tuple[int, int] | None:
        """Return the next number and time that a `stamp` job told, or None."""
        self.inbox.settimeout(max(seconds, 0))
        try:
            return RECORD.unpack(self.inbox.recv(RECORD.size))
        except (TimeoutError, BlockingIOError):
            return None

    def start_worker(self) -> None:
        self.workers = self.system.start_worker(self.PROCESSES)
        for worker in self.workers:
            # The whole group goes with us, SIGKILL included.
            self.guards.append(Guard(-worker.pid, "KILL", Path(tempfile.mkdtemp(dir=self.home))))

    def warm_worker(self) -> None:
        """Start the worker and wait until it has answered: each of its processes, as far as one can tell."""
        if self.workers:
            return
        # What an earlier measure has left would run first, and its dead rows slow the next claims.
        self.system.clear()
        self.start_worker()
        for number in range(-1, -9, -1):
            self.system.enqueue_one("stamp", number)
        heard, deadline = 0, time.monotonic() + 20
        while heard < 8:
            heard += self.hear(0.2) is not None
            if self.has_ended() or time.monotonic() > deadline:
                raise TimeoutError(f"the worker ran {heard} of its first 8 jobs in time; it {self.fate()}")

    def has_ended(self) -> bool:
        """Tell whether any of the workers' commands has ended by itself."""
        return any(worker.poll() is not None for worker in self.workers)

    def fate(self) -> str:
        codes = [worker.poll() for worker in self.workers]
        return f"ended with {codes}" if self.has_ended() else "is alive"

    def stop_worker(self) -> None:
        # A second to say goodbye: all that is measured has been, and what a kill leaves behind goes as well.
        for worker in self.workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self.workers:
            end_group(worker, grace=1)
        for guard in self.guards:
            guard.release()
        self.workers, self.guards = [], []

    def marks(self) -> list[tuple[int, int]]:
        """Return the number and the time of each body that ended, in the order they ended."""
        return list(RECORD.iter_unpack(self.log.read_bytes()))

    def count(self) -> int:
        return self.log.stat().st_size // RECORD.size

    def wait_for(self, count: int, seconds: float) -> None:
        """Wait until so many jobs have been counted, a worker has ended, or the time is over."""
        deadline = time.monotonic() + seconds
        while self.count() < count and time.monotonic() < deadline:
            if self.has_ended():
                raise RuntimeError(f"the worker {self.fate()} after {self.count()} jobs")
            time.sleep(0.02)

    def new_log(self) -> None:
        # Truncated, not replaced: who has it open appends at its end.
        os.truncate(self.log, 0)

    def sql(self, query: str) -> list[tuple]:
        import psycopg

        with psycopg.connect(os.environ["BENCH_POSTGRES"], autocommit=True) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        self.stop_worker()
        self.system.close()


def reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def tell(measure: str, **what: object) -> None:
    print(json.dumps({"measure": measure, **what}), flush=True)


def main() -> None:
    name, plan = sys.argv[1], json.loads(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    stand = None
    try:
        stand = Stand(name, plan, Path(os.environ["BENCH_HOME"]))
        tell("version", figures=stand.system.version())
        for measure in plan["measures"]:
            started, stand.series = time.monotonic(), {}
            try:
                figures = import_module(f"measures.{measure}").run(stand)
                stand.figures[measure] = figures
                tell(measure, figures=figures, series=stand.series, seconds=round(time.monotonic() - started, 1))
            except Exception as error:  # noqa: BLE001 - the other measures may succeed
                traceback.print_exc()
                tell(measure, error=reason(error))
                stand.stop_worker()
    except Exception as error:  # noqa: BLE001 - told where it is shown
        traceback.print_exc()
        tell("setup", error=reason(error))
    finally:
        if stand:
            stand.close()
    # Threads of some clients (a NOTIFY bell, a connection pool) are no daemons.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
