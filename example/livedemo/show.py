"""Everything between the first sign-up and the account. Importable only after `django.setup()`."""

import signal
import threading
import time
from collections.abc import Callable

from rich.console import Console
from rich.markup import escape

from livedemo import tables
from livedemo.account import Account
from livedemo.board import Board, Numbers
from livedemo.children import Child, ChildEndedError
from livedemo.config import Config
from livedemo.mailserver import MailServer
from livedemo.visitors import Crowd

DRAIN_WITHIN = 30.0
WORKER_ENDS_WITHIN = 20.0
SITE_ENDS_WITHIN = 5.0
LOOK_EVERY = 0.25


class Show:
    """Visitors come, jobs move, somebody counts; `play()` returns the exit code."""

    def __init__(
        self, console: Console, config: Config, url: str, mail: MailServer, worker: Child, site: Child
    ) -> None:
        self._console = console
        self._config = config
        self._crowd = Crowd(url, config.rate)
        self._mail = mail
        self._worker = worker
        self._site = site
        self._enough = threading.Event()  # the first Ctrl-C, or the time is over
        self._hurry = threading.Event()  # the second Ctrl-C
        self._started = time.monotonic()

    def play(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)
        with Board(self._console) as board:
            self._crowd.start()
            try:
                self._watch(board, "customers sign up", self._config.seconds or None, self._enough, lambda _: False)
            finally:
                self._enough.set()
                self._crowd.stop()
            self._watch(board, "the last jobs end", DRAIN_WITHIN, self._hurry, lambda numbers: not numbers.open)
        trouble = self._stop_worker()
        self._site.stop(SITE_ENDS_WITHIN)
        return self._settle(trouble)

    def _interrupt(self, *_: object) -> None:
        (self._hurry if self._enough.is_set() else self._enough).set()

    def _watch(
        self,
        board: Board,
        phase: str,
        seconds: float | None,
        stop: threading.Event,
        done: Callable[[Numbers], bool],
    ) -> None:
        """Show the board until `done`, until `stop` is set, or for `seconds`."""
        until = time.monotonic() + seconds if seconds else float("inf")
        while not stop.is_set() and time.monotonic() < until:
            for child in (self._worker, self._site):
                if child.exit_code is not None:
                    raise ChildEndedError(
                        f"The {child.name} ended by itself with exit code {child.exit_code}. Its last lines:\n"
                        f"{child.last_lines()}"
                    )
            numbers = self._numbers(phase)
            board.show(numbers)
            if done(numbers):
                return
            stop.wait(min(LOOK_EVERY, max(0.0, until - time.monotonic())))

    def _numbers(self, phase: str) -> Numbers:
        record, mail = self._crowd.record, self._mail
        return Numbers(
            phase=phase,
            elapsed=time.monotonic() - self._started,
            jobs=tables.counts(),
            committed=len(record.committed),
            rolled_back=len(record.rolled_back),
            mails=mail.total,
            later=mail.temporary,
            refused=mail.permanent,
            last=tuple(mail.last),
        )

    def _stop_worker(self) -> list[str]:
        """SIGTERM, and what was wrong with how the worker took it."""
        began = time.monotonic()
        if not self._worker.stop(WORKER_ENDS_WITHIN):
            told = f"The worker did not end within {WORKER_ENDS_WITHIN:.0f} s of SIGTERM and was killed."
        elif self._worker.exit_code:
            told = f"The worker ended with exit code {self._worker.exit_code} after SIGTERM."
        else:
            self._console.print(f"SIGTERM: the worker ended with exit code 0 in {time.monotonic() - began:.1f} s.\n")
            return []
        return [f"{told} Its last lines:\n{self._worker.last_lines()}"]

    def _settle(self, trouble: list[str]) -> int:
        account = Account(
            record=self._crowd.record,
            mails=self._mail.received(),
            found=tables.snapshot(),
            patient=not self._hurry.is_set(),
        )
        self._console.print(account.table())
        problems = [*account.problems(), *trouble]
        for problem in problems:
            self._console.print(escape(problem), style="red")
        if problems:
            self._console.print(f"{account.equation}. {len(problems)} promise(s) broken.", style="bold red")
            return 1
        self._console.print(
            f"[bold]{account.equation}[/bold]. The account balances: each committed sign-up has one job,\n"
            "no rolled-back one has a job or got a mail, and each succeeded job's customer was mailed exactly once.",
            style="green",
        )
        return 0
