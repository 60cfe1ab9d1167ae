"""How many jobs to claim: pure arithmetic on measured run times."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

__all__ = ["Pace", "deal"]

T = TypeVar("T")


class Pace:
    """Exponentially weighted moving averages of how long jobs run, in seconds."""

    #: What a job is expected to take before one was seen: between the no-ops and the API calls.
    GUESS = 0.005
    #: Weight of one run; of many in a claim, that of as many runs, up to the second figure: a claim may be odd.
    WEIGHT = 0.3
    MOST_WEIGHT = 0.7
    #: No claim is larger, however fast the jobs: a claim is what a killed process has to give back.
    MOST = 1000

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.mean = self.GUESS
        self.of_task: dict[str, float] = {}

    def observe(self, stats: Mapping[str, tuple[int, float]]) -> None:
        """Take in what a claim measured: task → (jobs run, seconds in all)."""
        for task, (count, total) in stats.items():
            if count:
                each = total / count
                weight = min(1 - (1 - self.WEIGHT) ** count, self.MOST_WEIGHT)
                self.of_task[task] = _blend(self.of_task.get(task, each), each, weight)
                self.mean = _blend(self.mean, each, weight)

    @property
    def is_quick(self) -> bool:
        """Whether jobs are known to be so quick that the way of a claim to a process counts."""
        return self.mean < self.GUESS

    def expect(self, task: str) -> float:
        """Return the seconds a job of *task* is expected to run."""
        return self.of_task.get(task, self.GUESS)

    def capacity(self, slots: int) -> int:
        """Return how many jobs *slots* free slots can run in the time a claim may take; at least one a slot."""
        each = min(self.MOST, max(1, int(self.seconds / max(self.mean, 1e-6))))
        return each * slots


def _blend(old: float, new: float, weight: float) -> float:
    return (1 - weight) * old + weight * new


def deal(jobs: Sequence[T], seconds: Sequence[float], slots: int) -> list[list[T]]:
    """Deal *jobs*, in order, each to the slot with the least expected work so far; no empty hands."""
    if len(jobs) == 1:  # what an idle worker gets
        return [list(jobs)]
    hands: list[list[T]] = [[] for _ in range(slots)]
    loads = [0.0] * slots
    for job, cost in zip(jobs, seconds, strict=True):
        least = loads.index(min(loads))
        hands[least].append(job)
        loads[least] += cost
    return [hand for hand in hands if hand]
