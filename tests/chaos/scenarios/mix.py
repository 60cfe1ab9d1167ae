"""Faults of all kinds, drawn by dice: the seed beside each row repeats its schedule."""

from __future__ import annotations

import random
import time

from tests.chaos.scenarios.kills import SETTINGS
from tests.chaos.scenarios.ledgers import CUT, crash_and_revive
from tests.chaos.scenarios.registry import scenario
from tests.chaos.stage import Stage

KIND = "a mix"
FAULTS = 7


def _kill(stage: Stage, what: str) -> None:
    """Kill a worker, never the last."""
    if len(stage.crew.ready) < 2:
        stage.crew.start(1)
    victim = stage.dice.choice(stage.crew.ready)
    kill = {"parent killed": stage.crew.kill_parent, "worker killed": stage.crew.kill_all}[what]
    stage.fault(what, lambda: kill(victim))
    stage.crew.start(wait=False)


def _kill_child(stage: Stage) -> None:
    stage.fault("child killed", lambda: stage.crew.kill_child(stage.dice.choice(stage.crew.ready)))


def _deploy(stage: Stage) -> None:
    """SIGTERM to one, as a rolling deploy does, while its successor starts."""
    stage.crew.start(1)
    stage.fault("SIGTERM", lambda: stage.crew.term(stage.crew.ready[0]))


def _pause(stage: Stage) -> None:
    """A short SIGSTOP, within the lease: nobody may take its jobs."""
    sleeper = stage.dice.choice(stage.crew.ready)
    stage.fault("paused 3 s", lambda: stage.crew.freeze(sleeper))
    stage.pause(3.0)
    stage.crew.thaw(sleeper)
    stage.crew.frozen.clear()  # its bodies have no excuse: it was not away for long


def _cut(stage: Stage) -> None:
    import psycopg

    begun = time.monotonic()
    with psycopg.connect(stage.postgres.dsn(), autocommit=True) as admin:
        for (pid,) in admin.execute(CUT).fetchall():
            if stage.dice.random() < 0.5:
                admin.execute("SELECT pg_terminate_backend(%s)", [pid])
    stage.fault("connections cut")
    stage.outages.append((begun, time.monotonic() + 6.0))


def _away(stage: Stage) -> None:
    stage.outage(stage.postgres.crash, stage.postgres.revive, stage.dice.uniform(1.0, 4.0), "database away")


def _freeze_broker(stage: Stage) -> None:
    stage.fault("broker frozen", stage.broker.freeze)
    stage.pause(2.0)
    stage.broker.thaw()


def _bounce_broker(stage: Stage) -> None:
    stage.fault("broker killed", stage.broker.crash)
    stage.pause(1.0)
    stage.broker.revive()


DECK = {
    "parent": lambda stage: _kill(stage, "parent killed"),
    "worker": lambda stage: _kill(stage, "worker killed"),
    "child": _kill_child,
    "deploy": _deploy,
    "pause": _pause,
    "cut": _cut,
    "crash": crash_and_revive,
    "away": _away,
    "freeze": _freeze_broker,
    "bounce": _bounce_broker,
    "flush": lambda stage: stage.fault("broker flushed", stage.broker.flush),
}


@scenario("mix", KIND, settings={**SETTINGS, "DRAIN_SECONDS": 3}, many=True)
def mix(stage: Stage) -> None:
    """Seven faults drawn from eleven, half a second to two and a half apart, beside a drain.

    Recovery is from the last fault to the end of the drain.
    """
    stage.crew.start(3)
    stage.ask(stage.spread(10, 3.0, stage.mixture(1500)))
    stage.wait_for_starts(20)
    # Drawn beforehand, by dice of their own: which processes there are to hurt is up to the machine.
    dice = random.Random(stage.seed)
    schedule = [(dice.choice(sorted(DECK)), dice.uniform(0.5, 2.5)) for _ in range(stage.times(FAULTS))]
    stage.notes.append("schedule: " + ", ".join(f"{name} {pause:.1f}" for name, pause in schedule))
    for name, pause in schedule:
        DECK[name](stage)
        stage.pause(pause)
    if not stage.crew.living:
        stage.crew.start(1)
    if stage.drain(60 if stage.is_ours else 90) is not None:
        stage.recovery = time.monotonic() - stage.last_fault
