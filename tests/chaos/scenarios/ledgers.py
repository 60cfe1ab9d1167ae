"""The database under the jobs crashes, stays away, or drops connections.

Recovery is from the last fault (the database being back, after an outage) to the next start of a body.
"""

from __future__ import annotations

import time

from tests.chaos.peers import Call
from tests.chaos.scenarios.registry import scenario
from tests.chaos.stage import Stage
from tests.waiting import wait_until

KIND = "the database"

CUT = """
    SELECT pid FROM pg_stat_activity
    WHERE application_name = 'chaos worker' AND backend_type = 'client backend'
"""


def crash_and_revive(stage: Stage) -> None:
    """An immediate stop and a start: recovery from the log."""
    stage.outage(stage.postgres.crash, stage.postgres.revive, 0.0, "PostgreSQL crash")


@scenario("restart", KIND)
def restart(stage: Stage) -> None:
    """PostgreSQL is stopped in immediate mode and started again, twice, in the middle of a drain; fsync is on."""
    stage.crew.start(2)
    stage.ask(stage.spread(6, 3.0, stage.mixture(1200)))
    stage.wait_for_starts(20)
    for _ in range(2):
        stage.pause(1.5)
        crash_and_revive(stage)
    back = time.monotonic()
    stage.drain(60)
    stage.recovery = stage.next_start(back)


@scenario("outage", KIND)
def outage(stage: Stage) -> None:
    """PostgreSQL is away for 8 s while bodies of 3 and 12 s run: none of them runs twice, and each end is kept."""
    stage.crew.start(3)
    across = stage.ask([Call("work", (seconds,)) for seconds in (3.0, 3.0, 12.0, 12.0)])
    wait_until(lambda: stage.is_running(across), 20, every=0.1)
    stage.ask(stage.mixture(600))
    stage.pause(0.5)
    stage.outage(stage.postgres.crash, stage.postgres.revive, 8.0, "8 s away")
    back = time.monotonic()
    stage.drain(60)
    stage.recovery = stage.next_start(back)
    again = [run.number for run in stage.runs() if run.number in across]
    stage.require(len(again) == len(set(again)), "a body that ran across the outage was started again")


@scenario("cut", KIND)
def cut(stage: Stage) -> None:
    """pg_terminate_backend for a random connection of a worker, every 200 ms during a drain."""
    import psycopg

    stage.crew.start(2)
    stage.ask(stage.spread(4, 3.0, stage.mixture(1500)))
    stage.wait_for_starts(20)
    with psycopg.connect(stage.postgres.dsn(), autocommit=True) as admin:
        begun = time.monotonic()
        for _ in range(stage.times(40)):
            if pids := [pid for (pid,) in admin.execute(CUT).fetchall()]:
                pid = stage.dice.choice(sorted(pids))
                stage.fault("cut", lambda pid=pid: admin.execute("SELECT pg_terminate_backend(%s)", [pid]))
            stage.pause(0.2)
    # An atomic job whose connection was cut is undone, its end with it, and runs again.
    stage.outages.append((begun, time.monotonic() + 6.0))
    back = stage.last_fault
    stage.drain(60)
    stage.recovery = stage.next_start(back)
