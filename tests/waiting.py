"""The one place of the tests that may poll."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], timeout: float = 10.0, *, every: float = 0.02) -> T:
    """Return the first truthy answer of `predicate`; fail with its last one after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (answer := predicate()):
        if time.monotonic() > deadline:
            name = getattr(predicate, "__qualname__", repr(predicate))
            raise AssertionError(f"{name} was still {answer!r} after {timeout} s")
        time.sleep(every)
    return answer
