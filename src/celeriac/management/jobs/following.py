"""Going on with an action and saying how far it is; whoever leaves, leaves it to the worker that leads."""

import sys
import time
from collections.abc import Callable

from celeriac.api import operate
from celeriac.api.operate import Step
from celeriac.ledger.audit import Action
from celeriac.management.terminal.screen import Screen

__all__ = ["follow"]

#: Between two looks while a canary or the rate has to be waited for, or another is at it.
LOOK = 0.5

#: Where no line can be written over, one is written at most so often.
EVERY = 5.0

_INTERRUPTED = 130


def follow(action: Action, screen: Screen, pause: Callable[[float], None] = time.sleep) -> None:
    """Do batches of *action* until it is over.

    Raises:
        SystemExit: 130 at Ctrl-C; the action stays open, and that is said.
    """
    progress = _Progress(screen)
    try:
        while action.state == "open":
            done = operate.step(action)
            progress.show(action, done)
            if done in {Step.WAITS, Step.BUSY}:
                pause(LOOK)
    except KeyboardInterrupt:
        progress.end()
        screen.note(
            f"Interrupted at {action.changed + action.skipped:,} of {action.matched:,} jobs. "
            f"The worker that leads goes on with the rest. To stop it:\n  {screen.program} actions stop {action.id}"
        )
        sys.exit(_INTERRUPTED)
    progress.end()


class _Progress:
    """A line that is written over, or now and then another line."""

    def __init__(self, screen: Screen) -> None:
        self.screen, self.said, self.shown = screen, 0.0, False
        self.live = screen.err.isatty()

    def show(self, action: Action, done: Step) -> None:
        """Say how far *action* is."""
        if action.state != "open":
            return
        waits = {Step.WAITS: ", waiting for " + ("a canary" if "canary" in action.options else "its time")}
        waits |= {Step.BUSY: ", another is at it"}
        text = f"{action.verb}: {action.changed + action.skipped:,} of {action.matched:,}{waits.get(done, '')}"
        if self.live:
            self.screen.err.write(f"\r\x1b[2K{text}", lambda said: said, ending="")
            self.screen.err.flush()
            self.shown = True
        elif time.monotonic() - self.said >= EVERY:
            self.said = time.monotonic()
            self.screen.note(text)

    def end(self) -> None:
        """Leave an empty line behind."""
        if self.shown:
            self.screen.err.write("\r\x1b[2K", lambda said: said, ending="")
            self.screen.err.flush()
            self.shown = False
