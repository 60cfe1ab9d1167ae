"""Several rounds in one thread and on one connection, each at its own pace: for what is seldom and in no hurry."""

from collections.abc import Callable

__all__ = ["together"]


def together(clock: Callable[[], float], *rounds: Callable[[], float]) -> Callable[[], float]:
    """Return one round of many: does those that are due by *clock*, and rests until the next one is."""
    due = dict.fromkeys(rounds, 0.0)

    def round_() -> float:
        for one in rounds:
            if clock() >= due[one]:
                due[one] = clock() + one()
        return max(0.0, min(due.values()) - clock())

    return round_
