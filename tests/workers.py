"""A real `celery worker` (or `celery beat`) in a process group of its own, whose log can be waited on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from tests.servers import end_group

ROOT = Path(__file__).resolve().parent.parent


class Worker:
    def __init__(self, app: str, *args: str, env: Mapping[str, str], log: Path, program: str = "worker") -> None:
        self.log = log
        self._news = threading.Condition()
        self._lines: list[str] = []
        self._ended = False
        command = [sys.executable, "-m", "celery", "-A", app, program, "--loglevel=INFO", *args]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **env, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"log of {self.pid}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self.log.open("w") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        with self._news:
            return "".join(self._lines)

    def wait_for(self, text: str, timeout: float = 20.0) -> str:
        """Return the first line that holds `text`; fail if the worker ends, or says nothing of it in time."""
        deadline, seen = time.monotonic() + timeout, 0
        with self._news:
            while True:
                for line in self._lines[seen:]:
                    if text in line:
                        return line
                seen = len(self._lines)
                if self._ended:
                    raise AssertionError(f"the worker ended before it said {text!r}:\n{''.join(self._lines)}")
                if not self._news.wait(max(0.0, deadline - time.monotonic())):
                    raise AssertionError(f"the worker did not say {text!r} in {timeout} s:\n{''.join(self._lines)}")

    def send(self, sig: signal.Signals) -> None:
        """To the worker's main process only; its children learn of it the hard way."""
        self.process.send_signal(sig)

    def wait(self, timeout: float = 20.0) -> int:
        return self.process.wait(timeout)

    def end(self, *, grace: float = 10.0) -> int:
        code = end_group(self.process, grace=grace)
        self._reader.join(5)
        self.process.stdout.close()
        return code
