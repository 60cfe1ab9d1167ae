"""Bodies that hang, with a soft limit of 0.5 s that they ignore and a hard one of 1.5 s.

Recovery is from the start of the hanging body to the end of the last ordinary job that was asked for with it.
"""

from __future__ import annotations

from tests.chaos.peers import Call
from tests.chaos.scenarios.registry import BOTH, scenario
from tests.chaos.stage import Stage

KIND = "bodies that hang"


def hang_among(stage: Stage, how: str) -> None:
    """One hanging body at a time, in the middle of claims of quick ones."""
    stage.crew.start(1)
    # So that the worker expects quick jobs and claims many at once: the hang then has claim-mates.
    stage.ask([Call("work", (0.001,))] * 400)
    stage.drain(30)
    ordinary: list[int] = []
    longest = 0.0
    for _ in range(stage.times(3)):
        batch = [Call("work", (0.002,))] * 100
        batch[20] = Call("hang", (30.0, how))
        stage.fault("hang")
        numbers = stage.ask(batch)
        stage.expect([numbers[20]], "dead", "timeout")
        mates = [*numbers[:20], *numbers[21:]]
        ordinary += mates
        stage.drain(40, numbers)
        runs = [run for run in stage.runs() if run.number in numbers]
        begun = min((run.start for run in runs if run.number == numbers[20]), default=0.0)
        longest = max([longest, *(run.end - begun for run in runs if run.number in mates and run.end)])
        ran = [run for run in runs if run.number == numbers[20]]
        if how == "regex":
            # Its process can write nothing while it holds the interpreter: the flush before it is part of the price.
            stage.outages.append((begun - 0.1, begun + 3.0))
        stage.require(len(ran) == 1, f"the hanging body started {len(ran)} times")
    stage.recovery = longest
    if stage.is_ours:
        # Who holds the interpreter keeps his process from giving anything back: its mates are free once it is dead.
        stage.limit = 2.0 if how == "wait" else 3.5
    stage.require_untouched(ordinary)


@scenario("hang", KIND, databases=BOTH)
def hang(stage: Stage) -> None:
    """A body that catches the soft limit and goes on: killed at the hard one, its claim-mates wait 2 s at most."""
    hang_among(stage, "wait")


@scenario("hang-gil", KIND)
def hang_gil(stage: Stage) -> None:
    """The same, in a regular expression that keeps Python's lock: its mates are free 2 s after the hard limit."""
    hang_among(stage, "regex")
