"""What was measured: kept, written as JSON, shown as tables."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections import defaultdict
from importlib import import_module
from pathlib import Path

from plan import MEASURES
from systems import BENCH, ORDER, load

#: Figures side by side; a measure with more has one a line.
WIDEST = 8


class Record:
    """The figures of all rounds: `values[system][measure][figure]` is a list with one value a round."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick
        self.seconds = 0
        self.started = time.strftime("%Y-%m-%d %H:%M:%S %Z")
        self.load = [os.getloadavg()[0]]
        self.versions: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.values: dict = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        self.failures: dict = defaultdict(dict)
        #: What the last round saw over time: `series[system][measure][name]` is a list of (second, value).
        self.series: dict = defaultdict(dict)

    def refuse(self, system: str, reason: str) -> None:
        self.refused[system] = reason

    def add(self, system: str, number: int, told: list[dict]) -> None:
        self.load.append(os.getloadavg()[0])
        for each in told:
            if each["measure"] == "version":
                self.versions[system] = each["figures"]
            elif "error" in each:
                self.failures[system][each["measure"]] = f"round {number + 1}: {each['error']}"
            else:
                for figure, value in each["figures"].items():
                    self.values[system][each["measure"]][figure].append(value)
                if each.get("series"):
                    self.series[system][each["measure"]] = each["series"]

    def median(self, system: str, measure: str, figure: str) -> float | None:
        values = self.values.get(system, {}).get(measure, {}).get(figure)
        return statistics.median(values) if values else None

    def save(self, path: Path) -> None:
        git = ["git", "-C", str(BENCH), "describe", "--always", "--dirty"]
        known = {
            "started": self.started,
            "seconds": self.seconds,
            "quick": self.quick,
            "commit": subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip(),
            "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
            "load": [round(load_, 2) for load_ in self.load],
            "systems": {
                name: {
                    "title": load(name).title,
                    "version": self.versions.get(name),
                    "guarantees": load(name).guarantees,
                    "measures": self.values.get(name, {}),
                    "series": self.series.get(name, {}),
                    "not run": self.refused.get(name) or self.failures.get(name, {}),
                }
                for name in ORDER
                if name in self.values or name in self.refused or name in self.failures
            },
        }
        path.write_text(json.dumps(known, indent=1) + "\n")


def shown(values: list[float]) -> str:
    """Return the median, and the lowest and the highest of the rounds."""
    text = number(statistics.median(values))
    return f"{text} ({number(min(values))}-{number(max(values))})" if min(values) != max(values) else text


def number(value: float) -> str:
    digits = 0 if value == int(value) or abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def table(record: Record) -> str:
    """Return one table a measure, then what each system promises, then what was not run and why."""
    load_ = f"load {min(record.load):.1f}-{max(record.load):.1f}"
    head = f"{record.started}, {record.seconds} s, {os.cpu_count()} cores, {load_}"
    lines = [f"{head}; median of the rounds (lowest-highest)"]
    for measure in MEASURES:
        figures = import_module(f"measures.{measure}").FIGURES
        names = [name for name in ORDER if record.values.get(name, {}).get(measure)]
        if not names:
            continue
        rows = [["", *(f"{figure} {unit}".strip() for figure, unit in figures.items())]]
        for name in names:
            values = record.values[name][measure]
            rows.append([load(name).title, *(shown(values[f]) if f in values else "-" for f in figures)])
        if len(figures) > WIDEST:
            rows = [row for row in map(list, zip(*rows, strict=True)) if {*row[1:]} != {"-"}]
        lines += ["", measure, *aligned(rows)]
        if measure == "drain":
            lines += shares(record)
    lines += ["", "promises"]
    for name in ORDER:
        if name in record.versions:
            lines.append(f"  {load(name).title} ({record.versions[name]}): {load(name).guarantees}")
    lines += ["", "not run", *(f"  {line}" for line in gaps(record))]
    return "\n".join(lines)


def shares(record: Record) -> list[str]:
    """Return how much of what the bare limits allow Celeriac's drain reaches, where both were measured."""
    rate = record.median("celeriac_postgres", "drain", "rate")
    claims = record.median("bare", "limits", "claim+complete rate")
    tracer = record.median("bare", "limits", "tracer")
    if not (rate and claims and tracer):
        return []
    ceilings = {"the bare claim+complete": claims, "two processes that only trace": 2e6 / tracer}
    parts = [f"{rate / most:.0%} of {name} ({number(round(most))}/s)" for name, most in ceilings.items()]
    return [f"  {load('celeriac_postgres').title}: {', '.join(parts)}"]


def gaps(record: Record) -> list[str]:
    """Return what is missing and why: nothing is hidden."""
    lines = []
    for name in ORDER:
        title = load(name).title
        if name in record.refused:
            lines.append(f"{title}: {record.refused[name]}")
        elif name in record.failures:
            lines += [f"{title}, {measure}: {reason}" for measure, reason in record.failures[name].items()]
        elif name not in record.values:
            lines.append(f"{title}: not chosen")
    return lines or ["nothing"]


def aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for name, *cells in rows:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  " + "  ".join([name.ljust(widths[0]), *padded]))
    return lines
