"""Rescue where there is no advisory lock: heartbeats alone tell, through a pooler, on SQLite and on MariaDB."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections
from django.db.utils import ConnectionHandler

from celeriac.ledger import prepared
from celeriac.ledger.models import Job, Worker
from tests.integration.looking import ended, lines, settings_env
from tests.servers import free_port
from tests.shop.tasks import hold
from tests.waiting import wait_until

SHOP = "tests.shop.celery"
BEAT = {"HEARTBEAT_SECONDS": 0.4}


def killed_and_rescued(start, env: dict[str, str], gate: Path, path: str, alias: str, send) -> Job:
    workers = {name: start(SHOP, "-c", "1", "-n", f"{name}@here", env=env) for name in ("one", "two")}
    result = send()
    wait_until(lambda: lines(path))
    row = Job.objects.using(alias).get(id=result.id)
    victim = workers[Worker.objects.using(alias).get(id=row.worker).hostname.partition("@")[0]]
    os.killpg(victim.pid, signal.SIGKILL)
    wait_until(lambda: len(lines(path)) == 2, 15)
    gate.touch()
    [row] = ended(result, alias=alias)
    return row


@pytest.mark.parametrize("alias", ["lite", "maria"])
@pytest.mark.django_db(transaction=True, databases=["default", "lite", "maria"])
def test_without_locks_a_killed_workers_job_runs_again(celery_worker_process, tmp_path, alias):
    if alias not in settings.DATABASES:
        pytest.skip("no MariaDB at 127.0.0.1:3306 that lets root in without a password")
    gate, path = tmp_path / "gate", str(tmp_path / "notes")
    env = {**settings_env(CELERIAC={**BEAT, "DATABASE": alias}), "CELERIAC_TEST_LEDGER": alias}

    def send():
        code = f"import tests.shop.celery, tests.shop.tasks as t; print(t.hold.delay({str(gate)!r}, {path!r}).id)"
        databases = {name: connections[name].settings_dict for name in connections}
        told = {**os.environ, **env, "CELERIAC_TEST_DATABASES": json.dumps(databases, default=str)}
        told |= {"DJANGO_SETTINGS_MODULE": "tests.settings"}
        asked = [sys.executable, "-c", f"import django; django.setup(); {code}"]
        out = subprocess.run(asked, env=told, check=True, capture_output=True, text=True, timeout=30)
        return hold.AsyncResult(out.stdout.strip())

    row = killed_and_rescued(celery_worker_process, env, gate, path, alias, send)
    assert (row.state, row.attempt, row.losses, row.claim_no) == ("succeeded", 0, 0, 2)


def answers(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def pgbouncer(postgres, tmp_path, transactional_db) -> Iterator[int]:
    """A pooler in transaction mode before the test database; its port."""
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        pytest.skip("no pgbouncer on this machine")
    port, name = free_port(), connections["default"].settings_dict["NAME"]
    home = Path(postgres.home) / f"pooler-{port}"
    home.mkdir()
    (home / "users").write_text('"postgres" ""\n')
    (home / "ini").write_text(
        f"[databases]\n{name} = host={postgres.home} port={postgres.port} user=postgres\n"
        f"[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\nunix_socket_dir=\nauth_type=trust\n"
        f"auth_file={home}/users\npool_mode=transaction\ndefault_pool_size=5\n"
        f"logfile={home}/log\n"
    )
    as_nobody = {}
    if os.geteuid() == 0:  # it refuses to run as root
        nobody = pwd.getpwnam("nobody")
        for path in (home, *home.iterdir()):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        as_nobody = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with (home / "out").open("w") as out:
        process = subprocess.Popen([program, str(home / "ini")], stdout=out, stderr=out, **as_nobody)
    wait_until(lambda: answers(port))
    yield port
    process.kill()
    process.wait()


@pytest.mark.django_db(transaction=True)
def test_through_a_pooler_a_killed_workers_job_runs_again(celery_worker_process, pgbouncer, tmp_path):
    databases = {alias: dict(connections[alias].settings_dict) for alias in connections}
    databases["default"] |= {"HOST": "127.0.0.1", "PORT": pgbouncer, "DISABLE_SERVER_SIDE_CURSORS": True}
    env = {
        **settings_env(CELERIAC={**BEAT, "POLL_SECONDS": 0.1}),
        "CELERIAC_TEST_DATABASES": json.dumps(databases, default=str),
    }
    gate, path = tmp_path / "gate", str(tmp_path / "notes")
    row = killed_and_rescued(celery_worker_process, env, gate, path, "default", lambda: hold.delay(str(gate), path))
    assert (row.state, row.attempt, row.losses) == ("succeeded", 0, 0)
    assert not Worker.objects.filter(locked=True).exists()


def test_a_pooler_that_nobody_told_of_is_found_out(pgbouncer):
    """What is prepared in one of its sessions is missing in the next."""
    told = {**connections["default"].settings_dict, "HOST": "127.0.0.1", "PORT": pgbouncer}
    connection = ConnectionHandler({"default": told})["default"]
    for _ in range(2 * prepared.USES):
        with prepared.watched_cursor(connection) as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_statements")
            assert cursor.fetchone() == (0,)
    assert not prepared.may_prepare(connection)
    connection.close()
