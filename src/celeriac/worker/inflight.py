"""What a worker notes of a claim that its pool has, and of one that fell."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from celeriac.ledger.rows import ClaimedJob
from celeriac.worker.board import NOBODY, now
from celeriac.worker.limits import Limited

__all__ = ["Fallen", "InFlight", "Interrupted"]


class Interrupted(Exception):
    """The worker ended the process itself, because it drains: no job's fault."""


@dataclass(eq=False, slots=True)
class InFlight:
    """A claim that the pool has."""

    slot: int
    jobs: Sequence[ClaimedJob]
    limits: Sequence[Limited] = ()  # of each job, or empty if none has any
    shortest: float = math.inf  # of all limits
    begun: float = field(default_factory=now)
    pid: int | None = None
    shed: bool = False  # its unstarted rest was looked after
    called: int = NOBODY  # the job that was told of its soft limit
    overdue: set[tuple[int, str]] = field(default_factory=set)  # limits that could not be enforced
    ended_by: Exception | None = None  # why this worker killed its process, while which job ran
    ended_index: int = NOBODY
    spare: bool = False  # no process was free for it: it waits for the first that is
    halted: float = math.inf  # when it had waited so long that nobody was to take it any more
    refused: bool = False  # nobody knows whether it was committed: its `claim_no` may be another's
    resident: tuple[int, float] | None = None  # (KiB, when)


@dataclass(frozen=True, slots=True)
class Fallen:
    """A claim whose process did not come back: who was running, what ended it, and what is known of it."""

    claim: InFlight
    blamed: Sequence[ClaimedJob]
    error: Exception
    evidence: str = ""
