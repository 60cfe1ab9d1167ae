"""The clock of one worker's node is stepped by an hour, forwards and backwards.

Recovery is not asked: nothing stops. Jobs that are due in 2 s must be run after 2 s, whoever stages them.
"""

from __future__ import annotations

import sys
import sysconfig
import time
from pathlib import Path

from tests.chaos.peers import Call
from tests.chaos.scenarios.registry import BOTH, scenario
from tests.chaos.stage import Skip, Stage

KIND = "the clock"
COUNTDOWN = 2.0


def faketime() -> Path:
    """Return the library that steps the clock of a process."""
    places = [
        Path("/usr/lib") / (sysconfig.get_config_var("MULTIARCH") or ""),
        Path("/usr/lib64"),
        Path("/usr/local/lib"),
    ]
    for place in places:
        if (library := place / "faketime" / "libfaketime.so.1").exists():
            return library
    raise Skip("libfaketime is not installed (Debian's package libfaketime)")


class Clock:
    """A clock that can be stepped while processes read it; time.monotonic() stays as it is, as on a real node."""

    def __init__(self, home: Path) -> None:
        self.file = home / "clock"
        self.step(0)
        self.env = {
            "LD_PRELOAD": str(faketime()),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # the name in older versions
        }

    def step(self, seconds: int) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.rename(self.file)


@scenario("clock", KIND, databases=BOTH)
def clock(stage: Stage) -> None:
    """One of two workers finds its clock an hour ahead, then an hour behind, then right again, in mid-drain."""
    if not sys.platform.startswith("linux"):
        raise Skip("the clock of one process can be stepped on Linux only")
    stepped = Clock(stage.home)
    stage.crew.start(1)
    stage.crew.start(1, env=stepped.env)
    stage.ask(stage.spread(2, 8.0, stage.mixture(1000)))
    stage.wait_for_starts(20)
    due: dict[int, float] = {}
    urgent = {"priority": 9} if stage.is_ours else {}  # so that the length of the queue is not measured
    for seconds in (3600, -3600, 0):
        stage.fault(f"clock {seconds:+d} s", lambda seconds=seconds: stepped.step(seconds))
        asked = time.monotonic()
        late = stage.ask([Call("work", (0.005,), {"countdown": COUNTDOWN, **urgent})] * stage.times(10))
        due.update(dict.fromkeys(late, asked + COUNTDOWN))
        stage.ask(stage.mixture(200))
        stage.pause(6.0)
    stage.drain(60)
    early = [run.number for run in stage.runs() if run.number in due and run.start < due[run.number] - 0.05]
    stage.require(not early, f"{len(early)} of {len(due)} jobs ran before they were due")
    behind = [run.start - due[run.number] for run in stage.runs() if run.number in due]
    stage.notes.append(f"the latest of {len(due)} scheduled jobs ran {max(behind, default=0):.1f} s after it was due")
