"""Workers are killed every two seconds while they drain a queue; at least one other always lives.

Recovery is the longest time from the death of a process to the next start of the body that it was running.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.chaos.peers import Call
from tests.chaos.scenarios.registry import BOTH, scenario
from tests.chaos.stage import Stage
from tests.workers import Worker

KIND = "workers killed"
EVERY_SECONDS = 2.0
KILLS = 5
URGENT = {"priority": 9}

#: The same slow job may be hit more often than a project would have it: that is not what is asked here.
SETTINGS = {"MAX_LOSSES": 10}


def drain_under_fire(stage: Stage, what: str, kill: Callable[[Worker], None], *, replace: bool) -> None:
    """Ask for jobs, kill, and see that all end in time."""
    stage.limit = stage.patience
    stage.crew.start(3)
    stage.ask(stage.mixture(2000))
    stage.wait_for_starts(20)
    for _ in range(stage.times(KILLS)):
        # Bodies that a kill certainly hits, at the head of the queue: their way back is not the queue's length.
        slow = stage.ask([Call("work", (3.0,), URGENT if stage.is_ours else {})] * 2)
        stage.measured.update(slow)
        stage.pause(EVERY_SECONDS / 2)
        victim = stage.crew.running(stage.runs(), slow) or stage.crew.ready[0]
        stage.fault(what, lambda victim=victim: kill(victim))
        if replace:
            stage.crew.start(wait=False)
        stage.pause(EVERY_SECONDS / 2)
    if stage.drain(90) is None:
        stage.notes.append("not drained 90 s after the last kill")


@scenario("parent-kill", KIND, databases=BOTH, settings=SETTINGS)
def parent_kill(stage: Stage) -> None:
    """SIGKILL to a worker's main process, every 2 s; a new worker replaces it."""
    drain_under_fire(stage, "parent killed", stage.crew.kill_parent, replace=True)


@scenario("child-kill", KIND, databases=BOTH, settings=SETTINGS)
def child_kill(stage: Stage) -> None:
    """SIGKILL to a process of a worker's pool, every 2 s; the worker forks another."""
    drain_under_fire(stage, "child killed", stage.crew.kill_child, replace=False)


@scenario("worker-kill", KIND, databases=BOTH, settings=SETTINGS)
def worker_kill(stage: Stage) -> None:
    """SIGKILL to a worker and its pool at once, every 2 s, as a container is killed; a new worker replaces it."""
    drain_under_fire(stage, "worker killed", stage.crew.kill_all, replace=True)
