"""What an idle worker with two processes costs: memory (PSS of all its processes) and processor time."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

FIGURES = {"memory": "MB", "processes": "", "idle cpu": "%"}


def run(stand: Any) -> dict[str, float]:
    stand.warm_worker()
    time.sleep(0.3)
    sessions = {worker.pid for worker in stand.workers}
    before, started = ticks(sessions), time.monotonic()
    time.sleep(stand.plan["idle_seconds"])
    after, seconds = ticks(sessions), time.monotonic() - started
    used = sum(after.values()) - sum(before.get(pid, 0) for pid in after)
    return {
        "memory": round(sum(pss(pid) for pid in after) / 1024, 1),
        "processes": len(after),
        "idle cpu": round(100 * used / os.sysconf("SC_CLK_TCK") / seconds, 2),
    }


def ticks(sessions: set[int]) -> dict[int, int]:
    """Return the processor time of each process of the workers: they are in the sessions that the commands began."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            if int(fields[3]) in sessions and fields[0] != "Z":
                found[int(entry.name)] = int(fields[11]) + int(fields[12])
    return found


def pss(pid: int) -> int:
    """Return the proportional set size in kB: shared pages count once, whoever maps them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
