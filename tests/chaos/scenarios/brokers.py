"""The broker is killed, emptied, frozen, or not there when the workers start.

Recovery is from the fault (for stock Celery from the broker being back) to the next start of a body.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tests.chaos.scenarios.registry import scenario
from tests.chaos.stage import Stage

KIND = "the broker"
AWAY_SECONDS = 4.0


def without_broker(stage: Stage, what: str, begin: Callable[[], None], over: Callable[[], None] | None) -> None:
    """Half of the jobs are asked for before the fault, half during it."""
    stage.crew.start(2)
    calls = stage.mixture(1600)
    half = len(calls) // 2
    stage.ask(calls[:half])
    stage.wait_for_starts(20)
    stage.fault(what, begin)
    fault = time.monotonic()
    asker, refused = _ask_aside(stage, calls[half:])
    if over is not None:
        stage.pause(AWAY_SECONDS)
        over()
    if not stage.is_ours:
        fault = time.monotonic()
    asker.join(60)
    _mention(stage, refused, half)
    stage.drain(40 if stage.is_ours else 60)
    stage.recovery = stage.next_start(fault)
    if stage.is_ours:
        stage.limit = 1.5  # a poll, and what a busy machine adds


def _ask_aside(stage: Stage, calls: list) -> tuple[threading.Thread, list[Exception]]:
    """Ask in a thread, as a web server would: stock Celery's producer waits for its broker."""
    refused: list[Exception] = []

    def ask() -> None:
        from django.db import connection

        try:
            stage.ask(calls)
        except Exception as error:  # noqa: BLE001 - whatever the caller is told
            refused.append(error)
        finally:
            connection.close()

    asker = threading.Thread(target=ask, daemon=True)
    asker.start()
    return asker, refused


def _mention(stage: Stage, refused: list[Exception], half: int) -> None:
    if refused:
        stage.notes.append(f"the producer was refused after {len(stage.asked) - half} of its jobs: {refused[0]!r:.120}")
        stage.require(not stage.is_ours, "a producer needed the broker")


@scenario("broker-kill", KIND)
def broker_kill(stage: Stage) -> None:
    """SIGKILL to the broker, and 4 s without it."""
    without_broker(stage, "broker killed", stage.broker.crash, stage.broker.revive)


@scenario("broker-flush", KIND)
def broker_flush(stage: Stage) -> None:
    """FLUSHALL: the broker forgets all it was told."""
    without_broker(stage, "broker flushed", stage.broker.flush, None)


@scenario("broker-freeze", KIND)
def broker_freeze(stage: Stage) -> None:
    """SIGSTOP to the broker: connections stay open, and nobody answers for 4 s."""
    without_broker(stage, "broker frozen", stage.broker.freeze, stage.broker.thaw)


@scenario("broker-absent", KIND, broker_absent=True)
def broker_absent(stage: Stage) -> None:
    """No broker when workers and producers start; it comes after 6 s.

    Recovery is from the asking to the first start of a body, with the start of the workers in it.
    """
    stage.fault("broker absent")
    begun = time.monotonic()
    stage.crew.start(2, wait=False)
    asker, refused = _ask_aside(stage, stage.mixture(800))
    if stage.is_ours:
        asker.join(20)
        stage.require(stage.drain(25) is not None, "the jobs waited for the broker")
    else:
        stage.pause(6.0)
    stage.broker.revive()
    asker.join(60)
    _mention(stage, refused, 0)
    stage.ask(stage.mixture(200))
    stage.drain(40)
    stage.recovery = stage.next_start(begun)
