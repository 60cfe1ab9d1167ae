"""Which charts are drawn of what was measured."""

from __future__ import annotations

from pathlib import Path

import plot
from measures import growth, soak
from report import Record
from systems import ORDER, load

#: A bar for each system: measure, figure, title.
SYSTEMS = {
    "drain": ("drain", "rate", "no-op jobs a second, two worker processes"),
    "realistic": ("realistic", "rate", "jobs a second that get and update a row, two worker processes"),
    "latency": ("latency", "p50", "ms from the call to the body, idle worker, median"),
    "load": ("load", "p99", "ms from the call to the body under half load, 99 % are below"),
    "memory": ("memory", "memory", "MB of an idle worker with two processes (PSS)"),
}
#: A bar for each case of `growth`.
GROWTH = {
    "growth-rate": ("rate", "Celeriac: no-op jobs a second, by the rows in its table"),
    "growth-claim": ("claim", "Celeriac: ms of one claim, by the rows in its table"),
}
#: Indexes in the chart of a soak, the largest ones: it has some twenty, most of them empty.
INDEXES = 3
CELERIAC, PREFIX = "celeriac_postgres", "celeriac_job_"


def draw(record: Record, folder: Path) -> list[Path]:
    """Write the charts of what was measured, and return where."""
    paths = []
    for name, drawn in charts(record).items():
        path = folder / f"bench-{name}.svg"
        path.write_text(drawn)
        paths.append(path)
    return paths


def charts(record: Record) -> dict[str, str]:
    """Return each chart's SVG by its name."""
    found = {}
    for name, (measure, figure, title) in SYSTEMS.items():
        bars = [(load(system).title, record.median(system, measure, figure)) for system in ORDER]
        if known := [(label, value) for label, value in bars if value is not None]:
            found[name] = plot.bars(title, known, own=lambda label: label.startswith("Celeriac"))
    for name, (figure, title) in GROWTH.items():
        bars = [(case, record.median(CELERIAC, "growth", f"{case}: {figure}")) for case in growth.CASES]
        if known := [(label, value) for label, value in bars if value is not None]:
            found[name] = plot.bars(title, known, own=lambda label: label == growth.FIRST)
    if series := record.series.get(CELERIAC, {}).get("soak"):
        indexes = [name for name in series if name.startswith(PREFIX)]
        largest = sorted(indexes, key=lambda name: series[name][-1][1], reverse=True)[:INDEXES]
        shown = {"table": "table", "indexes": "all indexes", **{name: name.removeprefix(PREFIX) for name in largest}}
        sizes = {label: series[name] for name, label in shown.items()}
        title = f"Celeriac, {soak.RATE:,} jobs a second, pruned after {soak.RETENTION} s"
        found["soak"] = plot.lines(f"{title}: MB", sizes)
        rows = {"rows": series["rows"], "dead rows": series["dead rows"]}
        found["soak-rows"] = plot.lines(f"{title}: rows", rows)
    return found
