"""The values between running and recording."""

from dataclasses import dataclass
from enum import Enum

__all__ = ["Bounds", "Kind", "Outcome", "Verdict"]


class Kind(Enum):
    """What ended a run."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # an exception that no retry answered
    RETRY = "retry"  # the task asked for another attempt
    REJECTED = "rejected"  # raise Reject(requeue=False)
    REQUEUED = "requeued"  # raise Reject(requeue=True)
    IGNORED = "ignored"  # raise Ignore()
    LOST = "lost"  # its process died
    ORPHANED = "orphaned"  # its whole worker died, and whether its body ran nobody knows
    TIMEOUT = "timeout"  # the hard time limit killed its process
    TERMINATED = "terminated"  # an operator's revoke killed its process
    REVOKED = "revoked"  # somebody asked to cancel it before its body began, or before it asked to run again
    CANCELLED = "cancelled"  # raise Cancel(reason), or an exception that its task's `discard_on` names
    UNREGISTERED = "unregistered"  # this worker does not know the task


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended; `delay` is seconds, and only a retry's."""

    kind: Kind
    reason: str = ""
    delay: float = 0.0
    charge: int = 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """What judging may depend on besides the outcome."""

    max_losses: int = 3
    requeue_delay: float = 1.0  # seconds before a task that asked to be requeued runs again: not a hot loop


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with the job: `state` is where it goes, `delay` seconds until it may run if that is back in line."""

    state: str
    reason: str = ""
    charge: int = 0
    loss: int = 0
    delay: float = 0.0
    suspect: bool = False

    @property
    def final(self) -> bool:
        """Whether the job has ended."""
        return self.state in ("succeeded", "dead", "cancelled")
