"""Child processes that end when the demo ends, whatever happened."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from livedemo.config import EXAMPLE


class ChildEndedError(Exception):
    """The site or the worker ended although nobody told it to."""


class Child:
    """A Python child process writing to its own log file; `stop()` ends it within bounds."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches the whole foreground group: the children must not stop before their jobs are done.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def stop(self, grace: float) -> bool:
        """SIGTERM, then after `grace` seconds SIGKILL; True when the SIGTERM was enough."""
        self._process.terminate()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            return False
        finally:
            self.kill()
        return True

    def kill(self) -> None:
        """End the child and whatever it left behind in its session, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def last_lines(self, count: int = 15) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-count:]) or "(its log is empty)"


def site(port: int, folder: Path) -> Child:
    # --insecure serves the admin's style sheets although DEBUG is off; only this machine can ask for them.
    return Child(
        "site", [str(EXAMPLE / "manage.py"), "runserver", "--noreload", "--insecure", f"127.0.0.1:{port}"], folder
    )


def worker(folder: Path) -> Child:
    celery = ["-m", "celery", "--workdir", str(EXAMPLE), "-A", "shop"]
    return Child("worker", [*celery, "worker", "-c", "2", "-l", "WARNING"], folder)


def migrate() -> None:
    """Create the tables, in a process of its own as everybody does; its output is shown when it fails."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLE / "manage.py"), "migrate", "--no-input"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout}\n`manage.py migrate` failed.")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
