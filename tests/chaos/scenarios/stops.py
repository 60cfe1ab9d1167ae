"""Workers that are stopped: by a deploy, or by a host that pauses and comes back."""

from __future__ import annotations

from tests.chaos.peers import Call
from tests.chaos.scenarios.registry import BOTH, scenario
from tests.chaos.stage import Stage
from tests.chaos.witness import by_number
from tests.waiting import wait_until

KIND = "workers stopped"
DRAIN_SECONDS = 3
GRACE_SECONDS = DRAIN_SECONDS + 5  # as the defaults: 25 s to drain, 30 s until a container is killed


@scenario("deploy", KIND, databases=BOTH, settings={"DRAIN_SECONDS": DRAIN_SECONDS})
def deploy(stage: Stage) -> None:
    """SIGTERM in the middle of jobs that outlast the grace of 3 s, SIGKILL after 8 s; another worker takes over.

    The jobs are given back uncharged, and run again within seconds of the SIGTERM. Recovery is from the SIGTERM to the
    last of them running again, the grace included.
    """
    [old] = stage.crew.start(1)
    long = stage.ask([Call("linger", (60.0, 0.5)) for _ in range(2)])
    wait_until(lambda: stage.is_running(long), 20, every=0.1)
    stage.crew.start(1)
    short = stage.ask(stage.mixture(300))
    began = stage.last_fault = _now()
    took = stage.fault("SIGTERM", lambda: stage.crew.term(old, then_kill_after=GRACE_SECONDS))
    stage.notes.append(f"the worker was gone {took:.1f} s after SIGTERM")
    stage.require(took < GRACE_SECONDS or not stage.is_ours, "the worker had to be killed")
    stage.drain(60 if stage.is_ours else 90)
    again = [runs[1].start - began for number, runs in by_number(stage.runs()).items() if number in long and runs[1:]]
    stage.recovery = max(again, default=None)
    if stage.is_ours:
        stage.limit = DRAIN_SECONDS + stage.patience
        stage.require(len(again) == 2, f"{2 - len(again)} of 2 long jobs were not given back")
    stage.require_untouched([*long, *short])


@scenario("zombie", KIND, databases=BOTH)
def zombie(stage: Stage) -> None:
    """SIGSTOP to a whole worker until others have run its jobs, then SIGCONT: its ends change nothing, and it rejoins.

    Recovery is from the SIGSTOP to the last of its jobs running again: a host that does not answer is given its lease.
    """
    [sleeper] = stage.crew.start(1)
    # SQLite has one write lock, and an atomic body holds it: stopped within one, a process stops all others for good.
    second = Call("effect", (0.5, 12.0)) if stage.database == "postgresql" else Call("linger", (12.0, 0.5))
    held = stage.ask([Call("linger", (12.0, 0.5)), second])
    wait_until(lambda: stage.is_running(held), 20, every=0.1)
    [other] = stage.crew.start(1)
    stopped = _now()
    stage.fault("SIGSTOP", lambda: stage.crew.freeze(sleeper))
    stage.ask(stage.mixture(200))
    rescued = stage.drain(45 if stage.is_ours else 60)
    starts = {n: [run.start - stopped for run in runs if run.start > stopped] for n, runs in _runs(stage, held).items()}
    stage.recovery = max((min(found) for found in starts.values() if found), default=None)
    if stage.is_ours:
        stage.limit = 20.0
        stage.require(rescued is not None, "its jobs were not run by others while it was stopped")
    before = _rows(stage, held)
    stage.fault("SIGCONT", lambda: stage.crew.thaw(sleeper))
    wait_until(lambda: all(run.end for runs in _runs(stage, held).values() for run in runs), 20, every=0.1)
    stage.pause(3.0)  # for its stale ends to arrive
    stage.require(_rows(stage, held) == before, "an end of the stopped worker changed a row")
    # Alone, it must serve again.
    stage.crew.term(other)
    other.wait(40)
    late = stage.ask(stage.mixture(50))
    stage.require(stage.drain(40, late) is not None, "the stopped worker did not take new jobs")


def _now() -> float:
    import time

    return time.monotonic()


def _runs(stage: Stage, numbers: range) -> dict:
    return {number: runs for number, runs in by_number(stage.runs()).items() if number in numbers}


def _rows(stage: Stage, numbers: range) -> object:
    """All that a finish could change."""
    if not stage.is_ours:
        return None
    from celeriac.models import Job
    from tests.chaos.peers import id_of

    jobs = Job.objects.filter(id__in=[id_of(number) for number in numbers]).order_by("id")
    return list(jobs.values_list("id", "state", "claim_no", "finished_at", "result", "attempt"))
