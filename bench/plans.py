"""Show what the ledger's statements cost beside a million finished jobs: `python bench/plans.py [finished]`.

A PostgreSQL of its own, fsync on. Prints index sizes and EXPLAIN (ANALYZE, BUFFERS) of claim, finish, stage, unpark and
expiring, then of claim without its index and with the same index over all rows. docs/decisions/0004-indexes.md keeps
the essentials. Each plan is of the second run (the first warms the cache), and each run is rolled back.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any
from uuid import uuid4

from engine import DurablePostgres

CLAIM = 100  # jobs in a claim: two slots of 1 ms jobs

#: A finished job, a ready one, and so on: ids ascend as those of version 7 do, payloads are small.
FILL = """
INSERT INTO celeriac_job (id, task, queue, priority, args, kwargs, headers, state, reason, attempt, losses, claim_no,
    waits_for, run_at, expires_at, created_at, started_at, finished_at, result)
SELECT lpad(to_hex(n), 32, '0')::uuid, 'shop.tasks.note', 'celery', n %% 3, '[' || n || ',"a text"]', '{}', '{}',
    %(state)s, %(reason)s, 0, 0, %(claims)s, 0, now() + (n %% 1000 - 500) * interval '1 second',
    CASE WHEN n %% 100 = 0 THEN now() + (n %% 1000 - 50) * interval '1 second' END,
    now(), %(ended)s, %(ended)s, CASE WHEN %(ended)s IS NULL THEN NULL ELSE '42' END
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
"""

FULL = "CREATE INDEX {name} ON celeriac_job (queue, priority DESC, run_at, id)"


def fill(finished: int) -> None:
    from django.db import connection
    from django.utils import timezone

    first = 1
    kinds = [("succeeded", finished * 99 // 100, ""), ("dead", finished // 100, "failed")]
    kinds += [("ready", 10_000, ""), ("scheduled", 1_000, ""), ("waiting", 100, "unregistered")]
    for state, count, reason in kinds:
        ended = timezone.now() if state in ("succeeded", "dead") else None
        params = {"state": state, "reason": reason, "claims": int(ended is not None), "ended": ended}
        with connection.cursor() as cursor:
            cursor.execute(FILL, {**params, "first": first, "last": first + count - 1})
        first += count
    run("VACUUM ANALYZE celeriac_job")


def run(query: str, params: Any = None) -> list[tuple]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return cursor.fetchall() if cursor.description else []


def explain(title: str, name: str, params: dict[str, Any], *, claimed: int = 0) -> None:
    """Print the plan of the statement *name*; with *claimed*, of a statement that writes for that many claimed jobs."""
    from django.db import transaction

    from celeriac.ledger.database import statement

    for _ in range(2):
        with transaction.atomic():
            if claimed:
                params = endings(claimed)
            plan = [row[0] for row in run(f"EXPLAIN (ANALYZE, BUFFERS) {statement(name)}", params)]
            transaction.set_rollback(True)
    print(f"\n== {title}\n" + "\n".join(plan))


def endings(count: int) -> dict[str, list[Any]]:
    from celeriac.ledger.columns import arrays
    from celeriac.ledger.rows import Ending
    from celeriac.ledger.verbs import claim

    return arrays([Ending(job.id, job.claim_no, "succeeded", result="42") for job in claim(uuid4(), "celery", count)])


def sizes(title: str) -> None:
    print(f"\n== {title}")
    for name, size, rows in run(
        "SELECT relname, pg_size_pretty(pg_relation_size(oid)), reltuples::bigint FROM pg_class "
        "WHERE relname LIKE 'celeriac_job%' AND relkind IN ('r', 'i') ORDER BY pg_relation_size(oid) DESC"
    ):
        print(f"{size:>10}  {rows:>10,} rows  {name}")


def main() -> None:
    finished = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    server = DurablePostgres()
    os.environ["BENCH_DATABASE"] = json.dumps({"ENGINE": "django.db.backends.postgresql", **server.settings})
    try:
        import shopbench  # noqa: F401 - configures Django
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        fill(finished)
        print(run("SELECT version()")[0][0])
        sizes("sizes")
        a_claim = {"worker": uuid4(), "queue": "celery", "limit": CLAIM}
        explain(f"claim of {CLAIM}", "claim", a_claim)
        explain("claim of an empty queue", "claim", {**a_claim, "queue": "nothing here"})
        explain(f"finish of {CLAIM}", "finish", {}, claimed=CLAIM)
        explain("stage", "stage", {"limit": 1000})
        explain("unpark", "unpark", {"tasks": ["shop.tasks.note", "shop.tasks.other"], "limit": 1000})
        explain("expiring", "expiring", {"limit": 1000})
        run("DROP INDEX celeriac_job_claim")
        run("ANALYZE celeriac_job")
        explain(f"claim of {CLAIM} without its index", "claim", a_claim)
        run(FULL.format(name="celeriac_job_claim_full"))
        run("VACUUM ANALYZE celeriac_job")
        explain(f"claim of {CLAIM}, its index over all rows", "claim", a_claim)
        sizes("sizes with the index over all rows")
    finally:
        from django.db import connections

        connections.close_all()
        server.stop()


if __name__ == "__main__":
    main()
