"""The scenarios, in the order in which the table shows them."""

from __future__ import annotations

from importlib import import_module

from tests.chaos.scenarios.registry import SCENARIOS, Scenario

__all__ = ["SCENARIOS", "Scenario"]

# Importing a module registers its scenarios.
for _kind in (
    "kills",
    "stops",
    "bodies",
    "limits",
    "ledgers",
    "brokers",
    "producers",
    "disks",
    "clocks",
    "schedules",
    "mix",
):
    import_module(f"{__name__}.{_kind}")
