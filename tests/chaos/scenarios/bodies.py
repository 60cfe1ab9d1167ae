"""Bodies that take their process with them, beside jobs that did nothing wrong."""

from __future__ import annotations

from tests.chaos.peers import Call
from tests.chaos.scenarios.registry import BOTH, scenario
from tests.chaos.stage import Stage

KIND = "bodies that kill"


def beside_neighbours(stage: Stage, bad: list[Call], what: str, count: int) -> tuple[range, list[int]]:
    """Run *bad* jobs in the middle of ordinary ones; return the numbers of both."""
    stage.crew.start(2)
    calls = stage.mixture(count)
    before = stage.ask(calls[: len(calls) // 2])
    for _ in bad:
        stage.fault(what)
    culprits = stage.ask(bad)
    neighbours = [*before, *stage.ask(calls[len(calls) // 2 :])]
    stage.drain(60, neighbours)
    stage.drain(60 if stage.is_ours else 15, culprits)
    stage.require_untouched(neighbours)
    return culprits, neighbours


@scenario("poison", KIND, databases=BOTH)
def poison(stage: Stage) -> None:
    """Two pills, by SIGKILL and by SIGSEGV, beside 1,000 ordinary jobs: dead after 3 losses, nobody else is charged."""
    pills, _ = beside_neighbours(stage, [Call("pill", ("SIGKILL",)), Call("pill", ("SIGSEGV",))], "pill", 1000)
    stage.expect(pills, "dead", "lost")
    _count_starts(stage, pills)


@scenario("memory", KIND, databases=BOTH)
def memory(stage: Stage) -> None:
    """MemoryError in three bodies: those jobs fail, and nothing else happens."""
    greedy, _ = beside_neighbours(stage, [Call("devour")] * 3, "MemoryError", 400)
    stage.expect(greedy, "dead", "failed")


@scenario("exit", KIND, databases=BOTH)
def leaving(stage: Stage) -> None:
    """os._exit() in bodies: always, and that job is dead after 3 losses; or once, and it runs again and succeeds."""
    leavers, _ = beside_neighbours(stage, [Call("leave", (True,)), Call("leave", (False,))], "os._exit", 400)
    stage.expect(leavers[:1], "dead", "lost")
    _count_starts(stage, leavers[:1])


def _count_starts(stage: Stage, numbers: range) -> None:
    starts = [run.number for run in stage.runs() if run.number in numbers]
    each = {number: starts.count(number) for number in numbers}
    if stage.is_ours:
        stage.require(set(each.values()) == {3}, f"started {sorted(each.values())} times instead of 3")
        ends = stage.peer.ends()
        stage.require(all(ends[number].losses == 3 for number in numbers), "the losses were not counted")
    else:
        stage.notes.append(f"it was started {' and '.join(map(str, sorted(each.values())))} times, and would be again")
