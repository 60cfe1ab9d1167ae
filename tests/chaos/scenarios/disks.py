"""The disk under the ledger is full.

Recovery is from the moment there is room again until a producer's job has been accepted and run.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
import time
from pathlib import Path

from django.db import DatabaseError

from tests.chaos.peers import Call
from tests.chaos.scenarios.registry import scenario
from tests.chaos.servers import ChaosPostgres
from tests.chaos.stage import Skip, Stage
from tests.waiting import wait_until

KIND = "the disk"
MEGABYTES = 48


class CrampedPostgres(ChaosPostgres):
    """A PostgreSQL whose tables lie on a disk of 48 MB, the log of transactions elsewhere."""

    def __init__(self) -> None:
        self.disk = Path(tempfile.mkdtemp(prefix="celeriac-disk-"))
        if os.geteuid() != 0:
            self._leave("only root may mount a small disk")
        nobody = pwd.getpwnam("nobody")
        options = f"size={MEGABYTES}m,uid={nobody.pw_uid},gid={nobody.pw_gid},mode=700"
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.disk)]
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
        if mounted.returncode:
            self._leave(f"mounting a small disk was refused: {mounted.stderr.strip()}")
        super().__init__()
        self._make_database()

    def _leave(self, why: str) -> None:
        self.disk.rmdir()
        raise Skip(why)

    def _make_database(self) -> None:
        import psycopg

        tables = self.disk / "tables"
        tables.mkdir(mode=0o700)
        nobody = pwd.getpwnam("nobody")
        os.chown(tables, nobody.pw_uid, nobody.pw_gid)
        with psycopg.connect(self.dsn(), autocommit=True) as admin:
            admin.execute(f"CREATE TABLESPACE small LOCATION '{tables}'")
            admin.execute("CREATE DATABASE cramped TABLESPACE small")

    @property
    def settings(self) -> dict[str, object]:
        return {**super().settings, "NAME": "cramped"}

    @property
    def ballast(self) -> Path:
        return self.disk / "ballast"

    def fill(self) -> None:
        """Leave no room at all."""
        try:
            with self.ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(65536))
        except OSError:
            pass

    def relieve(self) -> None:
        self.ballast.unlink()

    def stop(self) -> None:
        super().stop()
        subprocess.run(["umount", "-l", str(self.disk)], check=False, capture_output=True)
        self.disk.rmdir()


@scenario("disk-full", KIND, postgres=CrampedPostgres)
def disk_full(stage: Stage) -> None:
    """The disk fills in the middle of a drain: producers are refused loudly, workers wait; with room again all ends."""
    stage.crew.start(2)
    stage.ask(stage.mixture(1000))
    stage.wait_for_starts(20)
    begun = time.monotonic()
    stage.fault("disk full", stage.postgres.fill)
    refused = _refused(stage)
    stage.require(refused or not stage.is_ours, "inserts never failed: the disk was not full")
    if refused:
        stage.notes.append(f"the producer was told: {refused}")
    stage.pause(6.0)
    stage.postgres.relieve()
    room = stage.last_fault = time.monotonic()
    stage.outages.append((begun, room + 6.0))
    [late] = stage.ask([Call("work", (0.005,))])
    stage.drain(40, [late])
    stage.recovery = time.monotonic() - room
    stage.drain(60)


def _refused(stage: Stage) -> str:
    """Ask until the database refuses, as its free pages run out; what it said."""
    told: list[str] = []

    def ask() -> bool:
        try:
            # Big arguments: free space within the tables' pages is used up first.
            stage.ask([Call("work", (0.005,), {"headers": {"ballast": "x" * 20_000}})] * 10)
        except DatabaseError as error:
            told.append(str(error).splitlines()[0])
        return bool(told)

    try:
        wait_until(ask, 20 if stage.is_ours else 3, every=0.05)
    except AssertionError:
        return ""
    return told[0]
