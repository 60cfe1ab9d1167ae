"""What is measured, how often, and how long it should take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from systems import ORDER, System, load

#: In this order: `load` wants the rate of a drain, and shares one worker with the two before it.
MEASURES = ("limits", "drain", "latency", "memory", "load", "enqueue", "realistic", "reconnecting", "growth", "soak")
#: A quick run takes these only if it is told to.
SLOW = ("reconnecting", "growth", "soak")
#: Measured once, after the rounds: minutes of a table of its own, with nobody to take turns with.
ONCE = ("growth", "soak")

#: Sizes of each measure; seconds where the name says so.
QUICK: dict[str, object] = {
    "latency_samples": 25,
    "idle_seconds": 1.0,
    "load_seconds": 1.2,
    "enqueue_seconds": 0.3,
    "drain_seconds": 1.0,
    "growth_cases": ["10 k ready", "100 k ready", "10 k ready, 200 k finished"],
    "growth_rounds": 2,
    "growth_seconds": 50.0,
    "soak_seconds": 15.0,
}
FULL: dict[str, object] = {
    "latency_samples": 200,
    "idle_seconds": 5.0,
    "load_seconds": 10.0,
    "enqueue_seconds": 1.5,
    "drain_seconds": 5.0,
    "growth_cases": ["10 k ready", "100 k ready", "1 M ready", "10 k ready, 10 M finished"],
    "growth_rounds": 7,
    "growth_seconds": 500.0,
    "soak_seconds": 600.0,
}

#: How many of `ORDER` a quick run takes unless it is told which: its three minutes are for the best known.
QUICK_SYSTEMS = 9
ROUNDS = {True: 1, False: 3}

#: Seconds for a worker to start and end, and for a stand to be set up and left, on two cores.
START, SETUP = 2.5, 2.5


class Step(NamedTuple):
    round: int
    system: str
    plan: dict[str, object]
    seconds: float  # as expected
    limit: float  # when it is ended


def chosen(text: str | None, known: Iterable[str]) -> list[str]:
    """Return what a list with commas names, or all; a name's beginning stands for all that begin so."""
    known = list(known)
    if not text:
        return known
    found = [name for name in known if any(name.startswith(part.strip()) for part in text.split(","))]
    if not found:
        raise SystemExit(f"none of {text}; there are {', '.join(known)}")
    return found


def expected(system: System, plan: dict[str, object]) -> float:
    """Return the seconds of one step. A backlog takes as long to make as to drain, at the worst we have seen."""
    drain = START + 2 * float(plan["drain_seconds"])
    seconds = {
        "limits": 4 * float(plan["enqueue_seconds"]) + 2 * float(plan["drain_seconds"]),
        "latency": START + 0.05 * float(plan["latency_samples"]) + 0.5,
        "memory": float(plan["idle_seconds"]) + 0.5,
        "load": float(plan["load_seconds"]) + 0.5,
        "enqueue": 4.5 * float(plan["enqueue_seconds"]),
        "drain": drain,
        "realistic": drain,
        "reconnecting": drain,
        "growth": float(plan["growth_seconds"]),
        "soak": START + float(plan["soak_seconds"]) + 10,
    }
    return SETUP + sum(seconds[measure] for measure in plan["measures"] if measure in system.measures)


def steps(*, quick: bool, systems: str | None, measures: str | None, rounds: int | None = None) -> list[Step]:
    """Return all steps in their order: A B C … A B C, so that what disturbs the machine disturbs all."""
    names = chosen(systems, ORDER)
    if quick and not systems:
        names = names[:QUICK_SYSTEMS]
    wanted = chosen(measures, [each for each in MEASURES if measures or not quick or each not in SLOW])
    turns = [(number, False) for number in range(rounds or ROUNDS[quick])]
    found = []
    for number, once in [*turns, (len(turns), True)]:
        for name in names:
            system = load(name)
            plan = dict(QUICK if quick else FULL)
            plan["measures"] = [each for each in wanted if each in system.measures and (each in ONCE) is once]
            if plan["measures"]:
                seconds = expected(system, plan)
                found.append(Step(number, name, plan, seconds, 3 * seconds + 30))
    return found
