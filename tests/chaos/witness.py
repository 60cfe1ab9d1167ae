"""What the bodies say of themselves: pure, from the lines that `tasks.py` writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

#: A kill may cost the ends of one flush. That is a commit or two; what is added is for a machine that has other work.
FLUSH_SECONDS = 0.25


@dataclass(slots=True)
class Run:
    """One run of a body; `end` is None where nobody lived to tell."""

    number: int
    pid: int
    attempt: int
    start: float
    end: float | None = None
    raised: bool = False


@dataclass(slots=True)
class Deaths:
    """What the coroner knows: `time.monotonic()` when a process was last seen alive, and first seen dead."""

    alive: dict[int, float] = field(default_factory=dict)
    dead: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class Findings:
    """What became of the bodies, as numbers of jobs: `reruns` and `interrupted` are by promise, the others are not."""

    ended: set[int] = field(default_factory=set)
    duplicates: list[int] = field(default_factory=list)  # ended, and run again with no death to excuse it
    overlaps: list[int] = field(default_factory=list)  # two bodies at once
    reruns: list[int] = field(default_factory=list)  # ended within a flush of its process's death, and run again
    interrupted: list[int] = field(default_factory=list)  # its process died within it
    gaps: list[tuple[int, int, float]] = field(default_factory=list)  # number, dead pid, seconds until it ran again


def read(path: Path) -> list[Run]:
    """Return the runs, in order of their start."""
    runs: list[Run] = []
    open_: dict[tuple[int, int], Run] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        what, number, pid, attempt, when = line.split()
        key = int(number), int(pid)
        if what == "start":
            open_[key] = Run(*key, int(attempt), float(when))
            runs.append(open_[key])
        elif key in open_:
            run = open_.pop(key)
            run.end, run.raised = float(when), what == "raised"
    return sorted(runs, key=lambda run: run.start)


def by_number(runs: Iterable[Run]) -> Mapping[int, list[Run]]:
    found: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        found[run.number].append(run)
    return found


def examine(
    runs: Iterable[Run],
    deaths: Deaths,
    *,
    frozen: Iterable[int] = (),
    transactional: Iterable[int] = (),
    outages: Iterable[tuple[float, float]] = (),
) -> Findings:
    """Compare what the bodies say with what the coroner saw.

    *frozen* are processes that were stopped past their lease: their bodies may overlap with the next run's. *outages*
    are times in which no end could be written, so that a kill costs more than one flush. *transactional* are jobs whose
    effects are undone with their end: they are run again when the end could not be committed.
    """
    found = Findings()
    frozen, transactional, outages = set(frozen), set(transactional), list(outages)
    for number, mine in by_number(runs).items():
        if any(run.end is not None and not run.raised for run in mine):
            found.ended.add(number)
        for run, following in pairwise(mine):
            _compare(found, run, following, deaths, frozen, transactional, outages)
    return found


def _compare(
    found: Findings,
    run: Run,
    following: Run,
    deaths: Deaths,
    frozen: set[int],
    transactional: set[int],
    outages: list[tuple[float, float]],
) -> None:
    number = run.number
    until = run.end if run.end is not None else deaths.alive.get(run.pid, run.start)
    if until > following.start and run.pid not in frozen:
        found.overlaps.append(number)
    elif run.raised and following.attempt > run.attempt:
        pass  # it asked for another attempt
    elif run.end is None:
        found.interrupted.append(number)
        found.gaps.append((number, run.pid, following.start - until))
    elif run.pid in frozen or _excused(run, following, deaths, outages):
        # What was thrown into a body by its process's end interrupted it, too.
        (found.interrupted if run.raised else found.reruns).append(number)
    elif number in transactional and any(a <= following.start and b >= run.start for a, b in outages):
        found.interrupted.append(number)
    else:
        found.duplicates.append(number)


def _excused(run: Run, following: Run, deaths: Deaths, outages: list[tuple[float, float]]) -> bool:
    """Whether the process died before it can have written this end."""
    death = deaths.dead.get(run.pid)
    if death is None or deaths.alive.get(run.pid, run.start) > following.start:
        return False
    writable = run.end
    for begun, over in sorted(outages):
        if begun <= writable <= over:
            writable = over
    return death <= writable + FLUSH_SECONDS
