"""Measure the systems side by side: `make bench`, `make bench QUICK=1 SYSTEMS=celeriac,huey MEASURES=drain ROUNDS=3`.

Each step is a process of its own (`stand.py`) with a database and a Valkey of its own; the PostgreSQL is one for all,
fsync on. README.md says how it is measured and what is unfair to whom.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "bench"), str(ROOT)]

import charts  # noqa: E402
import environments  # noqa: E402
import report  # noqa: E402
from bodies import ITEMS  # noqa: E402
from engine import DurablePostgres  # noqa: E402
from plan import Step, steps  # noqa: E402
from systems import load  # noqa: E402

from tests.servers import Valkey  # noqa: E402

BUILD = ROOT / "build"


def main() -> None:
    quick = os.environ.get("QUICK", "") not in ("", "0")
    rounds = int(os.environ.get("ROUNDS") or 0) or None
    plan = steps(quick=quick, systems=os.environ.get("SYSTEMS"), measures=os.environ.get("MEASURES"), rounds=rounds)
    print(f"{len(plan)} steps, about {sum(step.seconds for step in plan) / 60:.1f} minutes", file=sys.stderr)
    record = report.Record(quick=quick)
    pythons = install(plan, record)
    server = DurablePostgres()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    BUILD.mkdir(exist_ok=True)
    begin = time.monotonic()
    try:
        with (BUILD / "bench.log").open("w") as log:
            for number, step in enumerate(plan):
                if step.system not in pythons:
                    continue
                print(f"{number + 1:>3}/{len(plan)} {step.system} ", end="", file=sys.stderr, flush=True)
                started = time.monotonic()
                record.add(step.system, step.round, run(step, pythons[step.system], server, log))
                print(f"{time.monotonic() - started:.0f} s of {step.seconds:.0f}", file=sys.stderr)
    finally:
        server.stop()
        record.seconds = round(time.monotonic() - begin)
        record.save(BUILD / "bench.json")
    print(report.table(record))
    for path in charts.draw(record, BUILD):
        print(f"plot: {path.relative_to(ROOT)}")


def install(plan: list[Step], record: report.Record) -> dict[str, str]:
    """Return the interpreter of each system that could be installed."""
    pythons = {}
    for name in dict.fromkeys(step.system for step in plan):
        try:
            pythons[name] = environments.python_for(name)
        except RuntimeError as error:
            record.refuse(name, str(error))
            print(f"{name}: {error}", file=sys.stderr)
    return pythons


def run(step: Step, python: str, server: DurablePostgres, log: TextIO) -> list[dict]:
    """Run one stand and return what it told, with the reason if it told less than it was asked."""
    print(f"\n== {step.system}, round {step.round + 1}", file=log, flush=True)
    command = [python, str(ROOT / "bench" / "stand.py"), step.system, json.dumps(step.plan)]
    reason = ""
    with new_place(step, server) as environment:
        stand = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=ROOT)
        try:
            output, _ = stand.communicate(timeout=step.limit)
        except subprocess.TimeoutExpired:
            reason = f"ended after {step.limit:.0f} s"
            output = end(stand)
        else:
            log.write(output)
        finally:
            if stand.poll() is None:
                end(stand)
    told = [json.loads(line) for line in output.splitlines() if line.startswith('{"measure"')]
    if any(each["measure"] == "setup" for each in told):
        return told
    missing = {*step.plan["measures"]} - {each["measure"] for each in told}
    return told + [{"measure": each, "error": reason or "the stand ended early"} for each in sorted(missing)]


@contextmanager
def new_place(step: Step, server: DurablePostgres) -> Iterator[dict[str, str]]:
    """Give a stand a database, a Valkey and a folder of its own: yield its environment, which its workers inherit."""
    import psycopg

    system = load(step.system)
    database = f"bench_{step.round}_{step.system}"
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database}")
    with psycopg.connect(server.dsn(database), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute("CREATE TABLE shop_item (id bigint PRIMARY KEY, stock integer NOT NULL)")
        connection.execute(f"INSERT INTO shop_item SELECT n, 1000000 FROM generate_series(1, {ITEMS}) AS n")
    valkey = Valkey()
    with tempfile.TemporaryDirectory(prefix="celeriac-bench-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        _, marks = tempfile.mkstemp(prefix="celeriac-bench-", dir="/dev/shm")
        try:
            yield {
                **os.environ,
                "BENCH_VALKEY": valkey.url,
                # By TCP for all: some drivers know no folder of a socket.
                "BENCH_POSTGRES": f"postgresql://postgres@127.0.0.1:{server.port}/{database}",
                "BENCH_HOME": folder,
                "BENCH_LOG": marks,
                "BENCH_SOCKET": str(home / "socket"),
                "BENCH_DATABASES": json.dumps(system.databases(django_settings(server, database), home)),
                "BENCH_APPS": json.dumps(system.apps),
                "BENCH_SETTINGS": json.dumps(system.settings(valkey.url)),
                "BENCH_SHOP": system.shop,
                "DJANGO_SETTINGS_MODULE": "shop.settings",
                "PYTHONPATH": os.pathsep.join([str(ROOT / "bench"), str(ROOT / "src")]),
            }
        finally:
            Path(marks).unlink()
            valkey.stop()
            with psycopg.connect(server.dsn(), autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {database} WITH (FORCE)")


def end(stand: subprocess.Popen[str]) -> str:
    """SIGTERM, so that it ends its worker, then SIGKILL: the worker's guard sees that. Return its output."""
    stand.terminate()
    try:
        return stand.communicate(timeout=10)[0]
    except subprocess.TimeoutExpired:
        stand.kill()
        return stand.communicate()[0]


def django_settings(server: DurablePostgres, database: str) -> dict[str, object]:
    # Connections that last, as Django's own documentation advises: otherwise a connect per job is measured.
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": server.port,
        "USER": "postgres",
        "NAME": database,
        "CONN_MAX_AGE": None,
    }


if __name__ == "__main__":
    main()
