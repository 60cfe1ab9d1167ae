"""Workers are killed every two seconds while they drain a queue; another that has been there for a while always lives.

Recovery is the longest time from the kill of a worker until the ledger says no more that it runs anything: its jobs are
free again. When they run is the queue's affair, and the suspects' (they run one after the other); a note tells how long
the longest waited. Where only a child is killed, and for stock Celery, it is the time until its body runs again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from django.db import connections

from tests.chaos.peers import Call
from tests.chaos.scenarios.registry import BOTH, scenario
from tests.chaos.stage import Stage
from tests.waiting import wait_until
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
    rescues: list[Future[float]] = []
    for _ in range(stage.times(KILLS)):
        # A body that the kill certainly hits, at the head of the queue and with slots to spare: what is measured is its
        # way back, not the length of the queue.
        slow = stage.ask([Call("work", (3.0,), URGENT if stage.is_ours else {})])
        stage.measured.update(slow)
        # At any moment between two heartbeats: who leads, and who has just renewed, makes the difference.
        stage.pause(stage.dice.uniform(0.3, EVERY_SECONDS))
        wait_until(lambda: len(stage.crew.ready) >= 2, 40)  # never the last
        victim = stage.crew.running(stage.runs(), slow) or stage.crew.ready[0]
        if stage.is_ours:
            wait_until(lambda victim=victim: stage.peer.has_veteran(_names(stage, victim)), 20)
        stage.fault(what, lambda victim=victim: kill(victim))
        if replace:
            stage.crew.start(wait=False)
            if stage.is_ours:
                rescues.append(watch(stage, victim))
        stage.pause(EVERY_SECONDS / 2)
    if rescues:
        stage.recovery = max(rescue.result() for rescue in rescues)
    if stage.drain(90) is None:
        stage.notes.append("not drained 90 s after the last kill")


def _names(stage: Stage, victim: Worker) -> list[str]:
    """Return Celery's node names of those that live, but the victim's."""
    return [f"{worker.log.stem}@chaos" for worker in stage.crew.living if worker is not victim]


def watch(stage: Stage, victim: Worker) -> Future[float]:
    """Return, in time, the seconds until the ledger has taken all jobs from *victim*, who was killed now."""
    killed = time.monotonic()
    found: Future[float] = Future()

    def look() -> None:
        try:
            wait_until(lambda: not stage.peer.holds_any(f"{victim.log.stem}@chaos"), 40, every=0.05)
            found.set_result(time.monotonic() - killed)
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result is told
            found.set_exception(error)
        finally:
            connections.close_all()

    threading.Thread(target=look, daemon=True).start()
    return found


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
