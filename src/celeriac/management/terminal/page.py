"""A page about one thing: names in a column, what is known beside them. And the values that are shown there."""

import json
import pprint
import textwrap
from datetime import datetime
from typing import Any
from uuid import UUID

from celeriac.api import payload
from celeriac.management.terminal.screen import Screen, clean

__all__ = ["Page", "iso", "short", "stored", "told"]

#: Names stand in a column of this width.
MARGIN = 13

#: A value longer than this is cut; `--json` has all of it.
MOST = 4000


class Page:
    """What is written on; `width` is the room beside the names."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.width = max(40, (screen.width or 120) - MARGIN)

    def named(self, name: str, text: str, *, clean_it: bool = True) -> None:
        """Write *text* beside *name*, if there is any."""
        if not text:
            return
        lines = (clean(text) if clean_it else text).split("\n")
        for n, line in enumerate(lines):
            self.screen.line(f"  {name if n == 0 else '':<{MARGIN - 2}}{line}".rstrip())

    def wrapped(self, name: str, text: str) -> None:
        """Write prose, as wide as there is room."""
        self.named(name, "\n".join(textwrap.wrap(clean(text), self.width)))


def short(id_: UUID) -> str:
    """Return the beginning of an id. Of version 7 that is a quarter of a microsecond: hardly two jobs share it."""
    return str(id_)[:18]


def iso(when: datetime | None) -> str | None:
    """Return a time as ISO 8601."""
    return when.isoformat() if when is not None else None


def stored(text: str | None) -> Any:
    """Return what JSON text in the ledger says; where it cannot be read, the text."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def told(text: str | None, width: int = 100) -> str:
    """Return a payload as Python would write it; one that cannot be read as its text."""
    if text is None:
        return ""
    try:
        value = payload.decode(text)
    except Exception:  # noqa: BLE001 - a type that only the project's own code can make again
        value = stored(text)
    shown = clean(pprint.pformat(value, width=width, sort_dicts=False))
    return shown if len(shown) <= MOST else f"{shown[:MOST]} ... ({len(shown):,} characters; --json has them)"
