"""An environment for each lock in `.bench-venv/<lock>`: systems disagree about versions, and one may not install."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from systems import BENCH, ORDER, load

HOME = BENCH.parent / ".bench-venv"
LOCKS = BENCH / "locks"


def uv() -> str:
    """Return the path of uv: the environment of the tests has it if nobody else does."""
    return shutil.which("uv") or str(Path(sys.executable).parent / "uv")


def python_for(name: str) -> str:
    """Return the interpreter that has the system *name*, installed now if need be.

    Raises:
        RuntimeError: with the installer's reason.
    """
    system = load(name)
    lock = LOCKS / f"{system.lock}.txt"
    if not lock.exists():
        raise RuntimeError(f"no {lock.name}: `make bench-lock` makes it")
    home = HOME / system.lock
    stamp, digest = home / ".stamp", hashlib.sha256(lock.read_bytes()).hexdigest()
    python = str(home / "bin" / "python")
    if stamp.exists() and stamp.read_text() == digest:
        return python
    shutil.rmtree(home, ignore_errors=True)
    _run("venv", "--quiet", "--python", interpreter(system.python), str(home))
    _run("pip", "install", "--quiet", "--python", python, "-r", str(lock))
    stamp.write_text(digest)
    return python


def interpreter(wanted: str) -> str:
    """Return what uv is told to use: pyenv's own, where a shim that fails would be found first."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" == wanted:
        return sys.executable
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    return next((str(found) for found in versions.glob(f"{wanted}.*/bin/python{wanted}")), wanted)


def _run(*arguments: str) -> None:
    try:
        done = subprocess.run([uv(), *arguments], capture_output=True, text=True, timeout=180, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"uv: {error}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise RuntimeError("cannot be installed: " + (lines[0] if lines else "uv gave no reason"))


def make_locks() -> None:
    """Write `locks/<lock>.txt` from the adapters' requirements: `make bench-lock`."""
    wanted: dict[str, tuple[str, str]] = {}
    for name in ORDER:
        system = load(name)
        if name != "bare":
            wanted.setdefault(system.lock, (system.python, "\n".join(system.requirements)))
    for lock, (python, requirements) in wanted.items():
        command = [uv(), "pip", "compile", "--quiet", "--universal", "--python-version", python, "--upgrade"]
        command += ["--python", interpreter(python)]
        command += ["--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "-"]
        command += ["--custom-compile-command", "make bench-lock", "--output-file", str(LOCKS / f"{lock}.txt")]
        done = subprocess.run(command, input=requirements, capture_output=True, text=True, check=False)
        print(f"{lock}: {'made' if done.returncode == 0 else done.stderr.strip().splitlines()[0]}")


if __name__ == "__main__":
    make_locks()
