"""What a scenario is, and the list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chaos.stage import Stage

BOTH = ("postgresql", "sqlite")


@dataclass(frozen=True)
class Scenario:
    """A named way to hurt a running system."""

    name: str
    kind: str
    play: Callable[[Stage], None]
    databases: tuple[str, ...] = ("postgresql",)
    settings: dict[str, object] = field(default_factory=dict)  # CELERIAC = {...} of its workers
    postgres: Callable[[], object] | None = None
    broker_absent: bool = False
    many: bool = False  # as many rounds as one asks for, each with a seed of its own

    @property
    def summary(self) -> str:
        return (self.play.__doc__ or "").strip().partition("\n")[0]


SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str, kind: str, **options: object) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    """Register the decorated function."""

    def register(play: Callable[[Stage], None]) -> Callable[[Stage], None]:
        SCENARIOS[name] = Scenario(name, kind, play, **options)
        return play

    return register
