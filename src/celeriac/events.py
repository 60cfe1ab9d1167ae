"""One event per transition, named as the verb; logs and metrics are mere subscribers.

An event is told after its statement ran. Inside a caller's transaction that is before the commit, so a subscriber
observes; it must never decide.
"""

import logging
from collections.abc import Callable
from typing import Any

__all__ = ["emit", "subscribe", "unsubscribe"]

Subscriber = Callable[[str, dict[str, Any]], None]

logger = logging.getLogger("celeriac.events")

_subscribers: list[Subscriber] = []


def subscribe(subscriber: Subscriber) -> Subscriber:
    """Call `subscriber(name, facts)` for each event; usable as a decorator."""
    _subscribers.append(subscriber)
    return subscriber


def unsubscribe(subscriber: Subscriber) -> None:
    """Stop calling *subscriber*."""
    _subscribers.remove(subscriber)


def emit(name: str, **facts: Any) -> None:
    """Tell every subscriber that *name* happened; a failing subscriber is logged, never raised."""
    for subscriber in _subscribers:
        try:
            subscriber(name, facts)
        except Exception:
            logger.exception("A subscriber of Celeriac's event %r failed", name)
