"""Measure schedules: `python bench/schedules.py [schedules] [idle seconds]`. A PostgreSQL of its own, fsync on.

    due lookup  EXPLAIN ANALYZE of what a scheduler asks again and again, with 10,000 schedules
    sync        milliseconds to write 10,000 schedules, and to find that nothing changed: from settings, and from
                django-celery-beat's tables; after one edit there; for the tables' fingerprint
    idle        RSS and CPU seconds of a worker (its main process) with 10 and with 10,000 schedules that are due later
    lateness    milliseconds from the instant to the tick's row: of 1,000 due at one minute, and of 10 due each second
    takeover    seconds without a tick after the worker that fires was killed, and stopped (schedules due each second)

No timed test: figures on a shared machine are compared within one run only.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from engine import ROOT, DurablePostgres, end_group, wait_for

APPS = ["celeriac", "django_celery_beat"]
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")


def run(query: str, params: Any = None) -> list[tuple]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return cursor.fetchall() if cursor.description else []


def milliseconds(act: Any) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1000


def show(name: str, figure: str) -> None:
    print(f"{figure:>24}  {name}", flush=True)


# -- schedules of mixed kinds


def mixed(count: int) -> dict[str, dict[str, Any]]:
    from celery.schedules import crontab

    kinds = [
        lambda n: crontab(minute=n % 60),
        lambda n: crontab(minute=n % 60, hour=n % 24, day_of_week="mon-fri"),
        lambda n: crontab(minute=0, hour=3, day_of_month=n % 28 + 1),
        lambda n: timedelta(hours=1, seconds=n % 3600),
        lambda n: 3600 + n % 600,
    ]
    return {f"mixed {n}": {"task": "shopbench.noop", "schedule": kinds[n % 5](n), "args": [n]} for n in range(count)}


def periodic_tasks(count: int) -> None:
    from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

    PeriodicTask.objects.all().delete()
    crontabs = CrontabSchedule.objects.bulk_create(
        CrontabSchedule(minute=str(n % 60), hour=str(n % 24), timezone=ZONES[n % 5]) for n in range(500)
    )
    every = IntervalSchedule.objects.bulk_create(IntervalSchedule(every=n + 60, period="minutes") for n in range(50))
    PeriodicTask.objects.bulk_create(
        (
            PeriodicTask(
                name=f"table {n}",
                task="shopbench.noop",
                args=f"[{n}]",
                **({"crontab": crontabs[n % 500]} if n % 2 else {"interval": every[n % 50]}),
            )
            for n in range(count)
        ),
        batch_size=1000,
    )


def use(entries: dict[str, dict[str, Any]]) -> Any:
    from shopbench import app

    app.conf.beat_schedule = entries
    return app


def syncing(count: int) -> None:
    from django_celery_beat.models import PeriodicTask

    from celeriac.schedules import sync, tables

    app = use(mixed(count))
    show(f"{count:,} of the settings written", f"{milliseconds(lambda: sync.sync_code(app)):,.0f} ms")
    show("they again, unchanged", f"{milliseconds(lambda: sync.sync_code(app)):,.0f} ms")
    sync.sync_code(use({}))
    periodic_tasks(count)
    run("VACUUM ANALYZE django_celery_beat_periodictask")
    show(f"{count:,} of the tables written", f"{milliseconds(lambda: sync.sync_tables(app)):,.0f} ms")
    show("they again, unchanged", f"{milliseconds(lambda: sync.sync_tables(app)):,.0f} ms")
    PeriodicTask.objects.filter(name="table 7").update(priority=5)
    show("after one edit", f"{milliseconds(lambda: sync.sync_tables(app)):,.0f} ms")
    taken = statistics.median(milliseconds(tables.fingerprint) for _ in range(9))
    show("the tables' fingerprint", f"{taken:,.1f} ms")


def looking() -> None:
    from django.db import connection
    from django.db.models import Min

    from celeriac.schedules.models import Schedule

    run("VACUUM ANALYZE celeriac_schedule")
    due = Schedule.objects.filter(paused_at__isnull=True)
    print(due.filter(next_tick__lte=datetime.now(UTC)).order_by("next_tick")[:1000].explain(analyze=True))
    with connection.execute_wrapper(explained):
        due.aggregate(Min("next_tick"))


def explained(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
    with context["connection"].connection.cursor() as cursor:
        cursor.execute("EXPLAIN ANALYZE " + sql, params)
        print("\n".join(row[0] for row in cursor.fetchall()))
    return execute(sql, params, many, context)


# -- workers


@contextmanager
def worker(name: str = "one") -> Any:
    command = [sys.executable, "-m", "celery", "-A", "shopbench", "worker", "-c", "1", "-n", f"{name}@bench"]
    process = subprocess.Popen([*command, "-l", "WARNING"], cwd=ROOT / "bench", start_new_session=True)
    try:
        yield process
    finally:
        end_group(process)


def of_process(pid: int) -> tuple[float, float]:
    """Return the CPU seconds and the MB of a process."""
    import psutil

    process = psutil.Process(pid)
    times = process.cpu_times()
    return times.user + times.system, process.memory_info().rss / 2**20


def idle(count: int, seconds: float) -> None:
    """The schedules are those of the tables: a worker that starts has none in its own code, and leaves these."""
    from celeriac.schedules import sync

    periodic_tasks(count)
    sync.sync_tables(use({}))
    spread = "UPDATE celeriac_schedule SET next_tick = now() + interval '10 minutes' + random() * interval '50 minutes'"
    run(spread)
    with worker() as process:
        wait_for("SELECT count(*) FROM celeriac_worker", 1, 30)
        time.sleep(20)  # its start, until it leads, and the first look at the tables
        before, _ = of_process(process.pid)
        time.sleep(seconds)
        cpu, rss = of_process(process.pid)
    show(f"{count:,} schedules, idle for {seconds:g} s", f"{cpu - before:.2f} s CPU, {rss:.0f} MB")


def forget() -> None:
    run("TRUNCATE celeriac_tick, celeriac_schedule, celeriac_job, celeriac_worker, celeriac_lease CASCADE")
    run("DELETE FROM django_celery_beat_periodictask")


def given(count: int, every: float, first: str) -> None:
    """Rows of another app: the workers fire them, and do not take them for their own."""
    run(
        "INSERT INTO celeriac_schedule (name, source, origin, task, args, kwargs, options, timing, policy, "
        "description, enabled, once, trouble, anchor, next_tick, skips, changed_at) "
        "SELECT 's' || n, 'settings', 'bench', "
        f"'shopbench.noop', '[1]', '{{}}', '{{}}', %s, '{{}}', '', true, false, '', {first}, {first}, '[]', now() "
        "FROM generate_series(1, %s) AS n",
        [json.dumps({"every": every}), count],
    )


def late(name: str) -> None:
    """While the worker runs."""
    found = [row[0] for row in run("SELECT extract(epoch FROM fired_at - instant) FROM celeriac_tick ORDER BY 1")]
    figures = [float(found[int(part * (len(found) - 1))]) * 1000 for part in (0.5, 0.99, 1)]
    show(f"{name} ({len(found):,} ticks)", "p50 {:,.0f}, p99 {:,.0f}, max {:,.0f} ms".format(*figures))
    # The tick's time is that of the decision; its job can begin once that is committed.
    wait_for("SELECT count(*) FROM celeriac_job WHERE started_at IS NOT NULL", len(found), 60)
    begun = (
        "SELECT extract(epoch FROM min(started_at - instant)) FROM celeriac_tick JOIN celeriac_job AS j ON j.id = job"
    )
    first = [float(row[0]) * 1000 for row in run(f"{begun} GROUP BY instant ORDER BY 1")]
    show(
        "from an instant to the begin of its first job", f"p50 {statistics.median(first):,.0f}, max {first[-1]:,.0f} ms"
    )


def lateness(seconds: float) -> None:
    forget()
    given(1000, 3600, "date_trunc('minute', now()) + interval '2 minutes'")
    with worker():
        wait_for("SELECT count(*) FROM celeriac_tick", 1000, 150)
        late("1,000 due at one minute")
    forget()
    with worker():
        wait_for("SELECT count(*) FROM celeriac_worker", 1, 30)
        time.sleep(5)
        given(10, 1, "date_trunc('second', now()) + interval '2 seconds'")
        wait_for("SELECT count(*) FROM celeriac_tick", int(10 * seconds), 2 * seconds + 10)
        late("10 due each second")


def takeover(how: signal.Signals) -> None:
    forget()
    with worker("one") as first:
        wait_for("SELECT count(*) FROM celeriac_lease", 1, 30)
        given(1, 1, "date_trunc('second', now()) + interval '1 second'")
        wait_for("SELECT count(*) FROM celeriac_tick", 3, 30)
        with worker("two"):
            wait_for("SELECT count(*) FROM celeriac_worker", 2, 30)
            time.sleep(3)
            [(ticks,)] = run("SELECT count(*) FROM celeriac_tick")
            os.killpg(first.pid, how)
            wait_for("SELECT count(*) FROM celeriac_tick", ticks + 8, 60)
            os.killpg(first.pid, signal.SIGCONT)
    [(gap,)] = run(
        "SELECT max(extract(epoch FROM gap)) FROM "
        "(SELECT fired_at - lag(fired_at) OVER (ORDER BY fired_at) AS gap FROM celeriac_tick) AS gaps"
    )
    [(rows, instants)] = run("SELECT count(*), count(DISTINCT instant) FROM celeriac_tick")
    show(f"without a tick after {how.name} ({rows} ticks, {instants} instants)", f"{float(gap):.1f} s")


def main() -> None:
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    count, seconds = (numbers + [10_000, 30][len(numbers) :])[:2]
    server = DurablePostgres()
    os.environ["BENCH_DATABASE"] = json.dumps({"ENGINE": "django.db.backends.postgresql", **server.settings})
    os.environ["BENCH_APPS"] = json.dumps(APPS)
    try:
        import shopbench  # noqa: F401 - configures Django
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        print(run("SELECT version()")[0][0])
        syncing(count)
        looking()
        for few_or_many in (10, count):
            forget()
            idle(few_or_many, seconds)
        lateness(seconds)
        for how in (signal.SIGKILL, signal.SIGSTOP):
            takeover(how)
    finally:
        from django.db import connections

        from celeriac.ledger import bell

        bell.close()
        connections.close_all()
        server.stop()


if __name__ == "__main__":
    main()
