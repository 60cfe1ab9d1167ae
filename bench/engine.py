"""Measure the engine on a PostgreSQL of its own, with fsync on: `make bench-engine`.

    drain       no-op jobs a second, prefork -c 2, results stored; statements a job from pg_stat_statements
    latency     milliseconds from before delay() to the body's start, on an idle worker, calls 5 and 30 ms apart
    enqueue     microseconds for one delay() in autocommit, and for the bare INSERT of such a row

No timed test: figures on a shared machine are compared within one run only. Arguments: [jobs] [latency samples].
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT), str(ROOT / "bench")]

from tests.servers import Postgres, end_group  # noqa: E402


class DurablePostgres(Postgres):
    """As in the tests, but it keeps its promises on disk."""

    OPTIONS = (
        "-c max_connections=100 -c listen_addresses=127.0.0.1 "
        "-c shared_preload_libraries=pg_stat_statements -c pg_stat_statements.track_utility=off"
    )


def start_worker() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "celery", "-A", "shopbench", "worker", "-c", "2", "-l", "WARNING"]
    return subprocess.Popen(command, cwd=ROOT / "bench", text=True, start_new_session=True)


def wait_for(query: str, wanted: int, seconds: float) -> None:
    from django.db import connection

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(query)
            if cursor.fetchone()[0] >= wanted:
                return
        time.sleep(0.05)
    raise SystemExit(f"gave up after {seconds} s: {query}")


def one(query: str) -> tuple:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone() if cursor.description else ()


def drain(jobs: int) -> dict[str, float]:
    from shopbench import app, noop

    started = time.monotonic()
    app.enqueue_many(noop.s(index) for index in range(jobs))
    bulk = jobs / (time.monotonic() - started)
    one("VACUUM ANALYZE celeriac_job")
    one("SELECT pg_stat_statements_reset()")
    worker = start_worker()
    try:
        wait_for("SELECT count(*) FROM celeriac_job WHERE state = 'succeeded'", jobs, 120)
    finally:
        end_group(worker)
    (seconds,) = one("SELECT extract(epoch FROM max(finished_at) - min(started_at)) FROM celeriac_job")
    (statements,) = one(
        "SELECT sum(calls) FROM pg_stat_statements WHERE query !~* 'pg_stat|count\\(\\*\\) FROM celeriac_job WHERE'"
    )
    return {
        "bulk enqueue jobs/s": round(bulk),
        "drain jobs/s": round(jobs / float(seconds)),
        "statements/job": round(float(statements) / jobs, 3),
    }


def latency(samples: int, pause: float) -> dict[str, float]:
    """How long from before delay() to the body. The longer the *pause*, the deeper a virtual processor sleeps."""
    from shopbench import stamp

    worker = start_worker()
    try:
        stamp.delay(0.0).get(timeout=30)
        results = []
        for _ in range(samples):
            results.append(stamp.delay(time.time()))
            time.sleep(pause)
        taken = sorted(result.get(timeout=10) * 1000 for result in results)
    finally:
        end_group(worker)
    return {
        f"p50 ms, {pause * 1000:.0f} ms apart": round(taken[len(taken) // 2], 2),
        f"p95 ms, {pause * 1000:.0f} ms apart": round(taken[int(len(taken) * 0.95)], 2),
        f"p99 ms, {pause * 1000:.0f} ms apart": round(taken[int(len(taken) * 0.99)], 2),
    }


def enqueue(samples: int) -> dict[str, float]:
    import psycopg
    from django.db import connection
    from shopbench import noop
    from systems.celeriac_postgres import SYSTEM

    from celeriac.ledger.ids import new_uuid

    settings = connection.settings_dict
    dsn = f"host={settings['HOST']} port={settings['PORT']} user=postgres dbname={settings['NAME']}"
    ours, bare = [], []
    one("SELECT pg_stat_statements_reset()")
    with psycopg.connect(dsn, autocommit=True) as direct:
        for index in range(samples):
            started = time.perf_counter()
            noop.delay(index)
            ours.append(time.perf_counter() - started)
            row = SYSTEM.row(new_uuid())
            started = time.perf_counter()
            direct.execute(*row)
            bare.append(time.perf_counter() - started)
    (inserts,) = one(
        "SELECT sum(calls) FROM pg_stat_statements "
        "WHERE query ~ 'INSERT INTO celeriac_job' AND query ~ 'clock_timestamp'"  # the bare one says now()
    )
    return {
        "delay() p50 µs": round(statistics.median(ours) * 1e6),
        "bare INSERT p50 µs": round(statistics.median(bare) * 1e6),
        "statements per delay()": round(float(inserts) / samples, 3),
    }


def main() -> None:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
    samples = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    server = DurablePostgres()
    os.environ["BENCH_DATABASE"] = json.dumps({"ENGINE": "django.db.backends.postgresql", **server.settings})
    try:
        import shopbench  # noqa: F401 - configures Django
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        one("CREATE EXTENSION pg_stat_statements")
        # Latency first: a drain leaves dead index entries, which slow claims until autovacuum has passed.
        figures = latency(samples, 0.005) | latency(samples, 0.03)
        one("TRUNCATE celeriac_job CASCADE")
        figures |= drain(jobs) | enqueue(samples * 5)
        for name, figure in figures.items():
            print(f"{name:>24}  {figure:,}")
    finally:
        from django.db import connections

        from celeriac.ledger import bell

        bell.close()
        connections.close_all()
        server.stop()


if __name__ == "__main__":
    main()
