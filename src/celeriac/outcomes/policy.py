"""How often a job that failed is tried again, and after how long. Values and arithmetic; the caller rolls the dice."""

from dataclasses import dataclass
from datetime import timedelta

__all__ = ["LEAST", "LONGEST_ASKED", "Policy", "wait_before_retry"]

#: The share of a wait that jitter leaves standing: a retry at once is what the wait is there to avoid.
LEAST = 0.1

#: A server's Retry-After is believed up to a day.
LONGEST_ASKED = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When to try again after a failure, as in `retry_on={SomeError: Policy(...)}`; times are seconds or timedeltas.

    Attributes:
        max_retries: attempts after the first; None is no limit.
        delay: the wait before the first retry.
        factor: each wait is this many times the one before; 1 keeps them the same.
        max_delay: no wait is longer.
        jitter: draw each wait evenly from the last nine tenths of it, so that what failed together does not come back
            together ("full jitter", Brooker, AWS Architecture Blog 2015, with a floor).
        retry_for: no retry begins later than this after the first failure; None is no limit. The last wait is cut to
            what is left.

    Raises:
        ValueError: for a number that makes no sense, naming it.
    """

    max_retries: int | None = 3
    delay: float | timedelta = 1.0
    factor: float = 2.0
    max_delay: float | timedelta = 600.0
    jitter: bool = True
    retry_for: float | timedelta | None = None

    def __post_init__(self) -> None:
        most: object = self.max_retries
        if most is not None and (type(most) is not int or most < 0):
            raise ValueError(f"max_retries must be a whole number from 0 on, or None, not {most!r}")
        for name, least in (("delay", 0), ("factor", 1), ("max_delay", 0), ("retry_for", 0)):
            value = getattr(self, name)
            if value is not None or name != "retry_for":
                _require(name, _seconds(value), least)

    def longest(self, retries: int) -> float:
        """Return the seconds before the next retry, without jitter, of a job that was retried *retries* times."""
        delay, most = _seconds(self.delay), _seconds(self.max_delay)
        try:
            return min(most, delay * self.factor**retries)
        except OverflowError:
            return most if delay else 0.0

    def wait(self, retries: int, roll: float) -> float:
        """Return the seconds before the next retry; *roll* is a random number from [0, 1)."""
        longest = self.longest(retries)
        return longest * (LEAST + (1 - LEAST) * roll) if self.jitter else longest


def wait_before_retry(
    policy: Policy, retries: int, roll: float, *, failing_for: float = 0.0, asked: float | None = None
) -> float | None:
    """Return the seconds until a job that failed is tried again, or None when it is not.

    *failing_for* is how long ago it failed first, *asked* what the other side said in its Retry-After; seconds both.
    The other side's word makes a wait longer, never shorter, and with jitter up to a tenth longer than it says, so that
    those whom it turned away together do not come back together. If it is longer than the policy's budget, the job is
    given up, since to come back sooner would be refused.
    """
    if policy.max_retries is not None and retries >= policy.max_retries:
        return None
    told = min(asked or 0.0, LONGEST_ASKED)
    wait = max(policy.wait(retries, roll), told * (1 + LEAST * roll) if policy.jitter else told)
    if policy.retry_for is None:
        return wait
    left = _seconds(policy.retry_for) - failing_for
    if left <= 0 or (asked or 0.0) > left:
        return None
    return min(wait, left)


def _seconds(value: float | timedelta | None) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else value  # type: ignore[return-value]


def _require(name: str, value: object, least: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < float("inf"):
        raise ValueError(f"{name} must be a number of at least {least}, not {value!r}")
