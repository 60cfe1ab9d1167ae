"""A steady stream of jobs by one producer, and the latency of some jobs among it.

The loop is open: each call has its time by the clock, whatever became of the ones before. A producer that waited for
answers, or that started its pauses anew after a slow call, would spare a slow system the jobs that show it to be slow.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

#: Seconds between two stamped jobs, as in `latency`.
PAUSE = 0.05
#: Seconds in which nothing is stamped: the first calls meet a worker that has not yet found its pace.
SETTLE = 0.3
#: Seconds that the last stamped jobs have for their answers.
PATIENCE = 5.0
#: Jobs in one bulk call: a producer that lags must still come to its stamped jobs.
MOST = 500


class Streamed(NamedTuple):
    """What was offered, and what came of it."""

    offered: float  # jobs a second, the stamped ones too
    behind: int  # jobs of the stream that had not run when its last one was asked for
    taken: list[float]  # ms from just before the call to the body's first line, of each stamped job
    unanswered: int  # stamped jobs


def stream(stand: Any, rate: float, seconds: float, *, batch: int = 1, pause: float = PAUSE) -> Streamed:
    """Ask for *rate* jobs a second in all for so long; *batch* of them fall due together, one in *pause* is stamped.

    One job that is due is one call. More of them are the system's bulk call, where it has one.
    """
    stand.new_log()
    rate = max(rate - 1 / pause, 0.1)
    jobs, asked, told = 0, {}, {}
    begin = time.monotonic()
    while (passed := time.monotonic() - begin) < seconds:
        if passed >= SETTLE + len(asked) * pause:
            number = len(asked)
            asked[number] = time.monotonic_ns()
            stand.system.enqueue_one("stamp", number)
            # Heard even where no time is left: the kernel keeps ten datagrams, then the bodies wait.
            told.update(heard(stand, 0))
        elif due := (int(passed * rate) // batch * batch) - jobs:
            jobs += ask(stand, jobs, due)
        else:
            then = min((jobs + batch) / rate, SETTLE + len(asked) * pause, seconds)
            told.update(heard(stand, then - passed))
    seconds = time.monotonic() - begin
    behind = jobs - stand.count()
    deadline = time.monotonic() + PATIENCE
    while len(told) < len(asked) and (left := deadline - time.monotonic()) > 0:
        told.update(heard(stand, left))
    taken = [(told[number] - asked[number]) / 1e6 for number in asked if number in told]
    return Streamed((jobs + len(asked)) / seconds, max(behind, 0), taken, len(asked) - len(taken))


def ask(stand: Any, first: int, due: int) -> int:
    """Ask for jobs that are due, as many as one call takes, and return how many these were."""
    if due == 1 or not stand.system.has_bulk:
        stand.system.enqueue_one("noop", first)
        return 1
    due = min(due, MOST)
    stand.system.enqueue_many("noop", range(first, first + due))
    return due


def heard(stand: Any, seconds: float) -> dict[int, int]:
    """Return what the next stamped job told, and what else is there by then."""
    told = {}
    while answer := stand.hear(seconds):
        told[answer[0]] = answer[1]
        seconds = 0
    return told
