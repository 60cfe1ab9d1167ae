"""What PostgreSQL and Celery allow on this machine: rows like Celeriac's by psycopg alone, no jobs run. The bars.

insert      one INSERT, autocommit: a commit's flush to disk and a round trip
batch       1,000 rows in a statement
claim       50 rows taken (SKIP LOCKED) and completed, each a statement and a commit, by two connections at once
pipe        a claim of 50 jobs to a process and its answer; tracer: one call of Celery's (`bare_celery.py`)
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any
from uuid import uuid4

import bare_celery
import psycopg

from measures import quantile, repeated

FIGURES = {
    "insert p50": "µs",
    "insert p99": "µs",
    "insert rate": "/s",
    "batch rate": "/s",
    "claim+complete rate": "/s",
    "pipe": "µs",
    "tracer": "µs",
}

TABLE = """
CREATE TABLE bare_job (id uuid PRIMARY KEY, task text NOT NULL, queue text NOT NULL, priority smallint NOT NULL,
    args text NOT NULL, kwargs text NOT NULL, headers text NOT NULL, state text NOT NULL, run_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL, started_at timestamptz, finished_at timestamptz, claim_no integer NOT NULL,
    result text) WITH (fillfactor = 70);
CREATE INDEX ON bare_job (queue, priority DESC, run_at, id) WHERE state = 'ready'
"""
COLUMNS = "(id, task, queue, priority, args, kwargs, headers, state, run_at, created_at, claim_no)"
ROW = "%s, 'bench.noop', 'celery', 0, '[1]', '{}', '{}', 'ready', now(), now(), 0"
ONE = f"INSERT INTO bare_job {COLUMNS} VALUES ({ROW})"
MANY = f"INSERT INTO bare_job {COLUMNS} SELECT {ROW.replace('%s', 'id')} FROM unnest(%s::uuid[]) AS id"
CLAIM = """
UPDATE bare_job SET state = 'running', claim_no = claim_no + 1, started_at = now() WHERE id IN (
    SELECT id FROM bare_job WHERE state = 'ready' AND queue = 'celery' ORDER BY priority DESC, run_at, id
    LIMIT 50 FOR UPDATE SKIP LOCKED) RETURNING id, task, args, kwargs, headers
"""
COMPLETE = """
UPDATE bare_job SET state = 'succeeded', finished_at = now(), result = 'null'
WHERE id = ANY(%s) AND state = 'running'
"""


def run(stand: Any) -> dict[str, float]:
    seconds = stand.plan["enqueue_seconds"]
    with psycopg.connect(os.environ["BENCH_POSTGRES"], autocommit=True) as connection:
        connection.execute(TABLE)
        singles = repeated(seconds, lambda: connection.execute(ONE, [uuid4()]))
        batches = repeated(seconds, lambda: connection.execute(MANY, [[uuid4() for _ in range(1_000)]]))
        rows = int(stand.plan["drain_seconds"] * 10_000)
        for _ in range(rows // 1_000):
            connection.execute(MANY, [[uuid4() for _ in range(1_000)]])
        connection.execute("VACUUM ANALYZE bare_job")
    return {
        "pipe": round(quantile(bare_celery.pipe(seconds / 2), 0.5) * 1e6),
        "tracer": round(quantile(bare_celery.tracer(seconds / 2), 0.5) * 1e6, 1),
        "insert p50": round(quantile(singles, 0.5) * 1e6),
        "insert p99": round(quantile(singles, 0.99) * 1e6),
        "insert rate": round(len(singles) / sum(singles)),
        "batch rate": round(1_000 / quantile(batches, 0.5)),
        "claim+complete rate": round(claim(2 * stand.plan["drain_seconds"])),
    }


def claim(seconds: float) -> float:
    """Return the rows claimed and completed a second, until there are no more or the time is over."""
    end = time.monotonic() + seconds
    done: list[int] = []

    def work() -> None:
        with psycopg.connect(os.environ["BENCH_POSTGRES"], autocommit=True) as connection:
            while time.monotonic() < end:
                ids = [row[0] for row in connection.execute(CLAIM)]
                if not ids:
                    return
                connection.execute(COMPLETE, [ids])
                done.append(len(ids))

    workers = [threading.Thread(target=work) for _ in range(2)]
    started = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(done) / (time.monotonic() - started)
