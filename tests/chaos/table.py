"""Rows for a reader: one line each as they come in, what was wrong under it, and a sum below."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Sequence
from typing import TextIO

from tests.chaos.verdict import Row

GREEN, RED, YELLOW, DIM, BOLD, PLAIN = "\033[32m", "\033[31m", "\033[33m", "\033[2m", "\033[1m", "\033[0m"

#: (heading over two lines, width, what of a row)
COUNTS = [
    (("", "jobs"), 7, lambda row: row.jobs),
    (("", "lost"), 6, lambda row: row.lost),
    (("bodies", "twice"), 8, lambda row: row.duplicate_bodies + row.overlaps),
    (("effects", "twice"), 9, lambda row: row.duplicate_effects),
    (("un-", "accounted"), 11, lambda row: row.unaccounted),
]
NAME, PEER, DATABASE = 22, 10, 12
FOOT = """
bodies twice   ran again after they had ended, or beside themselves; not those whose process died within them
effects twice  of atomic jobs: written twice, or not with the job's success
re-run/kill    bodies that had ended within one flush of a kill and ran again: the price of writing ends in batches
recovers       from the fault until what it stopped runs again; each scenario says what it measures
"""
STOCK = """
celery         stock Celery with late acks, reject on worker loss, prefetch 1, results in the same database, Valkey with
               an append-only file, and a visibility timeout of 20 s (the default is an hour: what a killed worker held
               waits that long)
"""


class Table:
    """Prints to *out*; colours only where a terminal shows them."""

    def __init__(self, peers: Sequence[str], seed: int, scale: float, out: TextIO) -> None:
        self.peers = peers
        self.seed, self.scale = seed, scale
        self.out = out
        self.colour = out.isatty() and "NO_COLOR" not in os.environ
        self._kind = ""

    def head(self) -> None:
        title = "Celeriac" + (" and stock Celery" if len(self.peers) > 1 else "")
        self._line(f"{self._in(BOLD, f'{title} while things are killed')}   seed {self.seed}, scale {self.scale:g}\n")
        left = NAME + DATABASE + 4 + (PEER if len(self.peers) > 1 else 0)
        for line in (0, 1):
            heads = "".join(f"{names[line]:>{width}}" for names, width, _ in COUNTS)
            late = [("re-run", "recovers"), ("/kill", "")][line]
            self._line(self._in(DIM, f"{'':{left}}{heads}{late[0]:>9}{late[1]:>10}  {('faults', '')[line]}".rstrip()))

    def starts(self, scenario: str, peer: str, database: str) -> None:
        """Say what is running, where the line can be written over."""
        if self.out.isatty():
            self.out.write(f"  … {scenario} {database} {peer}\r")
            self.out.flush()

    def row(self, row: Row, kind: str) -> None:
        if kind != self._kind:
            self._kind = kind
            self._line(f"\n{self._in(BOLD, kind)}")
        mark, colour = ("-", YELLOW) if row.skipped else ("✓", GREEN) if row.ok else ("✗", RED)
        name = f"{row.scenario} {row.seed}" if row.scenario == "mix" else row.scenario
        peer = f"{row.peer:<{PEER}}" if len(self.peers) > 1 else ""
        left = f"  {self._in(colour, mark)} {name:<{NAME}}{peer}{row.database:<{DATABASE}}"
        if row.skipped:
            self._line(left.rstrip())
            self._under(f"not tried: {row.skipped}", DIM)
            return
        counts = "".join(self._count(read(row), width, index) for index, (_, width, read) in enumerate(COUNTS))
        rerun = "" if row.reruns_per_kill is None else f"{row.reruns_per_kill:g}"
        recovers = "" if row.recover_seconds is None else f"{row.recover_seconds:.1f} s"
        faults = ", ".join(f"{count} x {what}" if count > 1 else what for what, count in row.faults.items())
        self._line(f"{left}{counts}{rerun:>9}{recovers:>10}  {faults}".rstrip())
        if not row.ok:
            self._under(row.reason, RED)
        for note in row.notes:
            self._under(note, DIM)

    def foot(self, rows: Sequence[Row]) -> None:
        self._line(self._in(DIM, FOOT.rstrip() + (STOCK.rstrip() if len(self.peers) > 1 else "")))
        for peer in self.peers:
            mine = [row for row in rows if row.peer == peer]
            played = [row for row in mine if not row.skipped]
            failed = [row for row in played if not row.ok]
            self._line(
                f"\n{self._in(BOLD, peer)}: {sum(row.jobs for row in played):,} jobs, "
                f"{sum(sum(row.faults.values()) for row in played)} faults: "
                f"{sum(row.lost for row in played)} lost, "
                f"{sum(row.duplicate_bodies + row.overlaps for row in played)} bodies and "
                f"{sum(row.duplicate_effects for row in played)} effects twice. "
                f"{len(played) - len(failed)} of {len(played)} scenarios held"
                + (f", {len(mine) - len(played)} not tried" if len(mine) > len(played) else "")
                + f". {sum(row.seconds for row in mine) / 60:.0f} min"
            )

    def _count(self, value: int, width: int, index: int) -> str:
        text = f"{value:>{width},}"
        return self._in(RED, text) if value and index else text

    def _under(self, text: str, colour: str) -> None:
        width = max(80, shutil.get_terminal_size((120, 24)).columns)
        for line in textwrap.wrap(text, width - 8):
            self._line(f"        {self._in(colour, line)}")

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{PLAIN}" if self.colour else text

    def _line(self, text: str) -> None:
        self.out.write(f"{text}\033[K\n" if self.out.isatty() else f"{text}\n")
        self.out.flush()
