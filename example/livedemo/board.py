"""The numbers while they change: a live table on a terminal, a line every two seconds elsewhere."""

import time
from collections import deque
from dataclasses import dataclass
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

ENDED = ("succeeded", "dead", "cancelled")
LINE_EVERY = 2.0
SPEED_OVER = 5.0


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the board shows at one moment."""

    phase: str
    elapsed: float
    jobs: dict[str, int]  # by state
    committed: int
    rolled_back: int
    mails: int
    later: int  # 451s and hang-ups so far
    refused: int  # 550s so far
    last: tuple[str, ...]

    @property
    def inserted(self) -> int:
        return sum(self.jobs.values())

    @property
    def ended(self) -> int:
        return sum(self.jobs[state] for state in ENDED)

    @property
    def open(self) -> int:
        return self.inserted - self.ended


class Board:
    """Shows `Numbers`; a context manager, so that the terminal is left as it was found."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._history: deque[tuple[float, int]] = deque()
        self._last_line = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, numbers: Numbers) -> None:
        now = time.monotonic()
        speed = self._speed(now, numbers.ended)
        if self._live:
            self._live.update(_picture(numbers, speed), refresh=True)
        elif now - self._last_line >= LINE_EVERY:
            self._last_line = now
            print(_line(numbers, speed), flush=True)

    def _speed(self, now: float, ended: int) -> float:
        """Jobs ended per second over the last few seconds."""
        self._history.append((now, ended))
        while now - self._history[0][0] > SPEED_OVER:
            self._history.popleft()
        since, before = self._history[0]
        return (ended - before) / (now - since) if now > since else 0.0


def _line(numbers: Numbers, speed: float) -> str:
    jobs = "  ".join(f"{state} {count}" for state, count in numbers.jobs.items())
    return (
        f"{numbers.elapsed:5.1f} s  {numbers.phase}: inserted {numbers.inserted} = {jobs}"
        f" | mails {numbers.mails}  rolled back {numbers.rolled_back}  {speed:.1f} jobs/s"
    )


def _picture(numbers: Numbers, speed: float) -> Panel:
    jobs = Table(box=None, pad_edge=False)
    jobs.add_column("inserted", justify="right", style="bold")
    for state in numbers.jobs:
        jobs.add_column(state, justify="right", style={"succeeded": "green", "dead": "red"}.get(state, ""))
    jobs.add_row(str(numbers.inserted), *map(str, numbers.jobs.values()))

    around = Table.grid(padding=(0, 2))
    around.add_row("sign-ups committed", str(numbers.committed), "mails received", str(numbers.mails))
    around.add_row("sign-ups rolled back", str(numbers.rolled_back), "told to come back later", str(numbers.later))
    around.add_row("jobs per second", f"{speed:.1f}", "refused for good", str(numbers.refused))

    mails = "\n".join(reversed(numbers.last)) or "none yet"
    return Panel(
        Group(jobs, "", around, "", "[bold]last mails[/bold]", mails),
        title=f"{numbers.phase}, {numbers.elapsed:.0f} s",
        width=88,
    )
