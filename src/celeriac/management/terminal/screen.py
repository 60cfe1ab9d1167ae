"""What the commands write on: lines, tables as wide as the terminal, JSON. It cleans what comes from outside."""

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.core.management.base import OutputWrapper

__all__ = ["Cell", "Column", "Row", "Screen", "clean", "one_line", "width_of"]

#: What a terminal would obey instead of show; a job's message may hold anything.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

GAP = "  "
CUT = ".."


class Column(NamedTuple):
    """A column of a table. `least`: how narrow it may get (0: it stays); `tail`: of a long text the end is kept."""

    title: str
    right: bool = False
    least: int = 0
    tail: bool = False


class Cell(NamedTuple):
    """A text and the name of its style."""

    text: str
    style: str = ""


Row = list[Cell | str]


def clean(text: str) -> str:
    """Return *text* with control characters written out; tabs and line breaks stay."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Return the first line of *text* that says something."""
    lines = (line.strip() for line in text.splitlines())
    return clean(next((line for line in lines if line), ""))


def width_of(out: Any) -> int:
    """Return how wide a line may be: COLUMNS, or the terminal's width; 0 without limit where *out* is no terminal."""
    if not out.isatty() and not os.environ.get("COLUMNS", "").isdigit():
        return 0
    return shutil.get_terminal_size().columns


@dataclass(kw_only=True)
class Screen:
    """Where a command says what it has to say."""

    out: OutputWrapper
    err: OutputWrapper
    style: Any
    now: datetime
    width: int  # 0: no limit
    program: str = "manage.py jobs"

    def styled(self, text: str, style: str) -> str:
        """Return *text* in one of Django's styles."""
        painted: str = getattr(self.style, style)(text) if style and text else text
        return painted

    def line(self, text: str = "", style: str = "") -> None:
        """Write one line, or several."""
        self.out.write(self._sayable(self.styled(text, style)))

    def note(self, text: str) -> None:
        """Say something beside the answer, to the person and not to the pipe."""
        self.out.flush()
        self.err.write(self._sayable(text), lambda said: said)

    def json(self, value: Any, *, indent: int | None = 2) -> None:
        """Write *value* as one JSON document."""
        self.out.write(json.dumps(value, indent=indent, default=str))

    def table(self, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        """Write a table; columns that may get narrower do so until it fits."""
        texts = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
        widths = [max([len(column.title), *(len(row[n].text) for row in texts)]) for n, column in enumerate(columns)]
        self._fit(columns, widths)
        heads = [Cell(column.title, "MIGRATE_HEADING") for column in columns]
        for row in [heads, *texts]:
            last = len(row) - 1
            parts = [
                self._padded(cell, column, width, pad=n < last)
                for n, (cell, column, width) in enumerate(zip(row, columns, widths, strict=True))
            ]
            self.line(GAP.join(parts).rstrip())

    def _fit(self, columns: Sequence[Column], widths: list[int]) -> None:
        if not self.width:
            return
        over = sum(widths) + len(GAP) * (len(widths) - 1) - self.width
        while over > 0:
            spare = [(widths[n] - column.least, n) for n, column in enumerate(columns) if column.least]
            most, widest = max(spare, default=(0, 0))
            if most <= 0:
                return
            widths[widest] -= 1
            over -= 1

    def _padded(self, cell: Cell, column: Column, width: int, *, pad: bool) -> str:
        text = cell.text
        if len(text) > width:
            keep = width - len(CUT)
            text = CUT + text[-keep:] if column.tail else text[:keep] + CUT
        space = " " * (width - len(text)) if pad or column.right else ""
        painted = self.styled(text, cell.style)
        return space + painted if column.right else painted + space

    def _sayable(self, text: str) -> str:
        """As the stream can write it: a terminal in ASCII gets escapes and no error."""
        encoding = getattr(self.out, "encoding", None) or "utf-8"
        return text.encode(encoding, "backslashreplace").decode(encoding)
