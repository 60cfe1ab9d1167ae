"""Measure what operators wait for, at a million dead jobs: `python bench/replay.py [dead] [replayed] [--plans]`.

A PostgreSQL of its own, fsync on.

    looking     milliseconds at a million dead jobs (50 fingerprints, 20 tasks, 10 exceptions, 5 queues; the commonest
                of each has the most) with a million attempts: first and deep pages, by each filter and by text; groups;
                counts. The median of five; the first after the fill counts as a warm-up.
    replaying   seconds for an action on 100,000 dead jobs: replay, replay at a rate, discard; and for its begin, which
                counts

Each query is run as the admin runs it, through the ORM and with the rows fetched. No timed test: figures on a shared
machine are compared within one run only. With `--plans`, EXPLAIN of each.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from engine import DurablePostgres

#: g: 0 to 49, its square distribution makes the first the commonest. n: seconds ago.
FILL = """
INSERT INTO celeriac_job (id, task, queue, priority, args, kwargs, headers, state, reason, attempt, losses, claim_no,
    waits_for, run_at, created_at, started_at, finished_at, error, exception, fingerprint)
SELECT lpad(to_hex(%(rows)s - n + 1), 32, '0')::uuid, 'shop.tasks.task_' || g %% 20, 'queue_' || g %% 5, 0,
    '[' || n || ',"customer' || n %% 5000 || '@example.com"]', '{"amount":' || n %% 100 || '}', '{}',
    'dead', CASE WHEN n %% 50000 = 7 THEN 'in_doubt' WHEN n %% 3 = 0 THEN 'failed' ELSE 'exhausted' END, 1, 0, 1,
    0, now() - n * interval '1 second', now() - n * interval '1 second',
    now() - n * interval '1 second', now() - (n - 1) * interval '1 second', '{"exc_type":"ValueError"}',
    'shop.errors.Error' || g %% 10, md5(g::text)
FROM (SELECT n, floor(50 * random() ^ 2)::int AS g FROM generate_series(1, %(rows)s::bigint) AS n) AS x
"""

STORIES = """
INSERT INTO celeriac_attempt (job_id, number, claim_no, replay, kind, exception, message, traceback, finished_at)
SELECT id, 1, 1, 0, 'failed', exception, 'no such customer: ' || args, 'Traceback', finished_at FROM celeriac_job
"""

LIMIT_MS = 200


def run(query: str, params: Any = None) -> list[tuple]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return cursor.fetchall() if cursor.description else []


def fill(rows: int) -> None:
    run("TRUNCATE celeriac_job, celeriac_change CASCADE")
    run(FILL, {"rows": rows})
    run(STORIES)
    run("VACUUM ANALYZE celeriac_job")
    run("VACUUM ANALYZE celeriac_attempt")


def looks() -> dict[str, Callable[[], Any]]:
    from celeriac.ledger import dead
    from celeriac.ledger.dead import Place
    from celeriac.ledger.models import Job
    from celeriac.ledger.selection import Selection

    def among(**filters: Any) -> Selection:
        return Selection(states=("dead",), **filters)

    newest = Job.objects.order_by("-finished_at").first()
    deep = Place(newest.finished_at - timedelta(seconds=900_000), newest.id)
    rare, common = run("SELECT md5('49')")[0][0], run("SELECT md5('0')")[0][0]
    filters = {
        "newest": among(),
        "task, the commonest": among(task="shop.tasks.task_0"),
        "task, the rarest": among(task="shop.tasks.task_19"),
        "queue": among(queue="queue_3"),
        "exception": among(exception="shop.errors.Error9"),
        "reason of one in 50,000": among(reason="in_doubt"),
        "fingerprint, the commonest": among(fingerprint=common),
        "fingerprint, the rarest": among(fingerprint=rare),
        "task and exception": among(task="shop.tasks.task_19", exception="shop.errors.Error9"),
        "task and an exception it never has": among(task="shop.tasks.task_19", exception="shop.errors.Error3"),
        "a day": among(since=newest.finished_at - timedelta(days=3), until=newest.finished_at - timedelta(days=2)),
        "text: an id": among(text=str(newest.id)),
        "text: a number in one job": among(text="4711"),
        "text: an address in 200 jobs": among(text="customer77@example.com"),
        "text: a word in all jobs": among(text="amount"),
        "text: two words in 10,000 jobs": among(text="amount 7"),
        "text: a part of a task's name": among(text="task_1"),
        "text: in none": among(text="nobody"),
    }
    pages = {f"page, {name}": lambda chosen=chosen: dead.page(chosen) for name, chosen in filters.items()}
    after = {
        f"page far down, {name}": lambda chosen=filters[name]: dead.page(chosen, after=deep)
        for name in ("newest", "task, the commonest", "fingerprint, the commonest")
    }
    groups = {
        "groups": dead.groups,
        "groups of a task": lambda: dead.groups(among(task="shop.tasks.task_0")),
        "groups of a queue": lambda: dead.groups(among(queue="queue_3")),
    }
    counts = {
        f"count, {name}": lambda chosen=filters[name]: dead.count(chosen)
        for name in ("newest", "task, the commonest", "text: a word in all jobs")
    }
    return {**pages, **after, **groups, **counts}


def milliseconds(look: Callable[[], Any]) -> float:
    look()
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        look()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def explain(look: Callable[[], Any]) -> None:
    from django.db import connection

    def wrapper(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        # A cursor of the driver's: what a wrapper is given is bound to the cursor that is at it.
        with connection.connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, BUFFERS) " + sql, params)
            print("\n".join("      " + row[0] for row in cursor.fetchall()))
        return execute(sql, params, many, context)

    # Statements that go past Django's cursor (ledger.database.execute) are not seen.
    with connection.execute_wrapper(wrapper):
        look()


def looking(rows: int, *, plans: bool) -> int:
    started = time.monotonic()
    fill(rows)
    print(f"{rows:,} dead jobs and their attempts made in {time.monotonic() - started:.0f} s")
    slow = 0
    for name, look in looks().items():
        taken = milliseconds(look)
        slow += taken >= LIMIT_MS
        print(f"{taken:>9.1f} ms  {name}{'   TOO SLOW' if taken >= LIMIT_MS else ''}")
        if plans:
            explain(look)
    return slow


def replaying(rows: int) -> None:
    from celeriac.ledger import act
    from celeriac.ledger.rows import By
    from celeriac.ledger.selection import Selection

    selection = Selection(states=("dead",))
    for name, options in {"replay": {}, "replay, at a rate": {"rate": 1e9}, "discard": {}}.items():
        fill(rows)
        started = time.monotonic()
        action = act.begin(name.partition(",")[0], selection, By("bench"), options)
        begun = time.monotonic()
        act.run(action)
        seconds = time.monotonic() - begun
        told = f"{action.changed:,} of {action.matched:,} jobs, {action.changed / seconds:,.0f}/s"
        print(f"{seconds:>9.1f} s   {name}: {told} (counted in {(begun - started) * 1000:.0f} ms)")


def main() -> None:
    given = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    dead, replayed = (given + [1_000_000, 100_000][len(given) :])[:2]
    server = DurablePostgres()
    os.environ["BENCH_DATABASE"] = json.dumps({"ENGINE": "django.db.backends.postgresql", **server.settings})
    try:
        import shopbench  # noqa: F401 - configures Django
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        print(run("SELECT version()")[0][0])
        slow = looking(dead, plans="--plans" in sys.argv)
        replaying(replayed)
        if slow:
            raise SystemExit(f"{slow} looks took {LIMIT_MS} ms or more")
    finally:
        from django.db import connections

        from celeriac.ledger import bell

        bell.close()
        connections.close_all()
        server.stop()


if __name__ == "__main__":
    main()
