"""Named fault points: places inside the code where a test may stop, fail or kill the process.

A point costs one truth test while nothing is armed, so the seams stay in production code and chaos can reach them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["armed", "point"]

_armed: dict[str, Callable[[], None]] = {}


def point(name: str) -> None:
    """Run what a test armed under *name*, if anything."""
    if _armed and name in _armed:
        _armed[name]()


@contextmanager
def armed(name: str, action: Callable[[], None]) -> Iterator[None]:
    """Arm *name* with *action* for the duration of a with-block."""
    _armed[name] = action
    try:
        yield
    finally:
        _armed.pop(name, None)
