"""How fast a backlog goes, from the first body's end to the last one's: what a worker takes to start is not counted.

Where the system records ends on PostgreSQL, the last record's commit is the end.
"""

from __future__ import annotations

import os
import time
from typing import Any

FIGURES = {"rate": "/s", "jobs": "", "left": "", "doubled": "", "statements": "/job", "connections": "/job"}

STATEMENTS = """
SELECT sum(s.calls) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
WHERE d.datname = current_database() AND s.query !~ 'pg_stat_statements|^SELECT count'
"""

CONNECTIONS = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"


def run(stand: Any, body: str = "noop", pace: float | None = None) -> dict[str, float]:
    stand.stop_worker()
    stand.system.clear()
    stand.new_log()
    seconds = stand.plan["drain_seconds"]
    count = backlog(stand, body, int((pace or stand.system.pace) * seconds), seconds)
    # As autovacuum would have done in a while.
    stand.sql("VACUUM ANALYZE")
    stand.sql("SELECT pg_stat_statements_reset()")
    connections = stand.sql(CONNECTIONS)[0][0]
    stand.start_worker()
    try:
        stand.wait_for(1, 20)
        # Twice as long as it should take, no longer: a rate needs no end.
        deadline = time.monotonic() + 2 * seconds
        stand.wait_for(count, 2 * seconds)
        end = None if stand.count() < count else recorded(stand, count, deadline + seconds)
        stopped = time.monotonic_ns()
        marks = stand.marks()
        statements = stand.sql(STATEMENTS)[0][0] or 0
        connections = stand.sql(CONNECTIONS)[0][0] - connections
    finally:
        stand.stop_worker()
    if len(marks) < 2:
        raise TimeoutError(f"{len(marks)} of {count} jobs ran")
    done = len({number for number, _ in marks})
    times = [at for _, at in marks]
    # One that did not get through is judged by all the time it had.
    end = end or (max(times) if done == count else stopped)
    return {
        "rate": round((len(marks) - 1) / (end - min(times)) * 1e9),
        "jobs": done,
        "left": count - done,
        "doubled": len(marks) - done,
        "statements": round(float(statements) / len(marks), 2),
        "connections": round(connections / len(marks), 2),
    }


def recorded(stand: Any, count: int, deadline: float) -> int | None:
    """Wait until the system has recorded the end of all jobs, and return when; None if it records none.

    Some systems run bodies far ahead of what they record: without the record the job would run again.
    """
    import psycopg

    with psycopg.connect(os.environ["BENCH_POSTGRES"], autocommit=True) as connection:
        while (left := stand.system.left(count, connection)) and time.monotonic() < deadline:
            time.sleep(0.005)
    return None if left is None else time.monotonic_ns()


def backlog(stand: Any, body: str, wanted: int, seconds: float) -> int:
    """Ask for jobs in parts, for at most so long, and return how many there are."""
    end = time.monotonic() + 2 * seconds
    count = 0
    while count < wanted and time.monotonic() < end:
        part = min(500, wanted - count)
        stand.system.enqueue_many(body, range(count, count + part))
        count += part
    return count
