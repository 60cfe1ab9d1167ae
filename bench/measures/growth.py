"""How Celeriac bears a large table: a drain and a claim at more and more ready rows, and beside millions of finished.

Each drain is of the same number of jobs, whatever waits behind them, so that the rates compare. The rows are made on
the server by one statement a case, with ids in the order of time as those of version 7 are, and analysed.
"""

from __future__ import annotations

import statistics
import time
from typing import Any, NamedTuple
from uuid import uuid4


class Case(NamedTuple):
    ready: int
    finished: int


#: The first is what the others are compared with.
CASES = {
    "10 k ready": Case(10_000, 0),
    "100 k ready": Case(100_000, 0),
    "1 M ready": Case(1_000_000, 0),
    "10 k ready, 200 k finished": Case(10_000, 200_000),
    "10 k ready, 10 M finished": Case(10_000, 10_000_000),
}
FIRST = next(iter(CASES))

FIGURES = {
    f"{case}: {figure}": unit
    for case in CASES
    for figure, unit in {"rate": "/s", "claim": "ms", "rate to 10 k": "x", "claim to 10 k": "x"}.items()
    if case != FIRST or not figure.endswith("10 k")
}

#: Between these two bodies the rate is measured: how a worker starts, and how it ends a backlog of 10,000, does not
#: depend on the size.
FROM, TO = 1_000, 8_000
#: Claims of which the median is taken, after some that warm the cache and have the statement planned for good.
CLAIMS, WARM = 20, 7
SECONDS = 60.0  # at most, of a drain

#: Milliseconds since 1970, the version, a number that ascends within them, the variant, and chance: as in `new_id`.
ID = """
(lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0')
    || 'a' || substr(md5(n::text), 1, 15))::uuid
"""
COLUMNS = """id, task, queue, priority, args, kwargs, headers, reason, attempt, losses, waits_for, claim_no, run_at,
    created_at"""

#: No-ops that fell due one after the other until now, a tenth of them more urgent.
READY = f"""
INSERT INTO celeriac_job ({COLUMNS}, state)
SELECT {ID.format(at="at")}, 'bench.noop', 'celery', CASE WHEN n % 10 = 0 THEN 5 ELSE 0 END, '[' || n || ']', '{{}}',
    '{{}}', '', 0, 0, 0, 0, at, at, 'ready'
FROM (SELECT n, now() - (:count - n) * interval '1 millisecond' AS at FROM generate_series(1, :count::bigint) n) x
"""

#: A month's jobs until a day ago: 20 tasks, 5 queues, one in a hundred dead and told of, one in a thousand cancelled.
FINISHED = f"""
INSERT INTO celeriac_job ({COLUMNS}, state, started_at, finished_at, result, exception, fingerprint, announced)
SELECT {ID.format(at="at")}, 'shop.tasks.task_' || n % 20,
    (ARRAY['celery', 'mail', 'images', 'reports', 'imports'])[n % 5 + 1], CASE WHEN n % 10 = 0 THEN 5 ELSE 0 END,
    '[' || n || ',"customer' || n % 5000 || '@example.com"]',
    '{{"amount":' || n % 100 || '}}', '{{}}', CASE state WHEN 'dead' THEN 'failed' ELSE '' END, 0, 0, 0, 1, at, at,
    state, at + interval '20 milliseconds', at + interval '50 milliseconds',
    CASE state WHEN 'succeeded' THEN '{{"order":' || n || ',"paid":true}}' END,
    CASE state WHEN 'dead' THEN 'shop.errors.Error' || n % 7 ELSE '' END,
    CASE state WHEN 'dead' THEN md5((n % 50)::text) ELSE '' END, true
FROM (
    SELECT n, now() - interval '31 days' + n * (interval '30 days' / :count) AS at,
        CASE WHEN n % 100 = 7 THEN 'dead' WHEN n % 1000 = 9 THEN 'cancelled' ELSE 'succeeded' END AS state
    FROM generate_series(1, :count::bigint) n
) x
"""


def run(stand: Any) -> dict[str, float]:
    stand.stop_worker()
    cases = {name: CASES[name] for name in stand.plan["growth_cases"]}
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    rounds = int(stand.plan["growth_rounds"])

    def alone() -> None:
        for name, case in cases.items():
            if not case.finished:
                stand.system.clear()
                measured[name].append(measure(stand, case.ready))

    # Cold caches would be the first case's, and it is what the others are compared with.
    measure(stand, CASES[FIRST].ready)
    for _ in range(rounds - 1):
        alone()
    for name, case in cases.items():
        if case.finished:
            stand.system.clear()
            stand.sql(FINISHED.replace(":count", str(case.finished)))
            # Made once: the jobs of one round are finished ones of the next.
            measured[name] += [measure(stand, case.ready) for _ in range(rounds)]
    # One round comes after: what the machine does meanwhile falls on both.
    alone()
    figures = {}
    for name, values in measured.items():
        rate, claim = (statistics.median(each) for each in zip(*values, strict=True))
        figures |= {f"{name}: rate": round(rate), f"{name}: claim": round(claim, 2)}
        if name != FIRST:
            figures[f"{name}: rate to 10 k"] = round(rate / figures[f"{FIRST}: rate"], 2)
            figures[f"{name}: claim to 10 k"] = round(claim / figures[f"{FIRST}: claim"], 2)
    return figures


def measure(stand: Any, ready: int) -> tuple[float, float]:
    """Make so many ready rows; return the jobs a second of a drain's first ones and the ms of a claim."""
    stand.sql(READY.replace(":count", str(ready)))
    stand.sql("VACUUM ANALYZE celeriac_job")
    claim = claiming()
    # The claims were rolled back and left dead rows.
    stand.sql("VACUUM ANALYZE celeriac_job")
    stand.new_log()
    stand.start_worker()
    try:
        stand.wait_for(TO, SECONDS)
        times = [at for _, at in stand.marks()]
    finally:
        stand.stop_worker()
    if len(times) < TO:
        raise TimeoutError(f"{len(times)} of {TO} jobs ran within {SECONDS:.0f} s")
    return (TO - FROM) / (times[TO - 1] - times[FROM - 1]) * 1e9, claim


def claiming() -> float:
    """Return the ms of one claim statement, of as many jobs as a worker claims at most for one process.

    Each is rolled back, so that all claim the same rows; the commit's flush, which no size of a table changes, is left
    out with that. By hand: in Django's transactions a claim does not go straight to libpq, as a worker's does.
    """
    from celeriac.ledger import prepared
    from celeriac.ledger.database import connection_of
    from celeriac.ledger.verbs import claim
    from celeriac.worker.pace import Pace

    prepared.pin(connection_of(), "claim")  # as the claimer's
    taken = []
    with connection_of().cursor() as cursor:
        for _ in range(WARM + CLAIMS):
            cursor.execute("BEGIN")
            started = time.perf_counter()
            jobs = claim(uuid4(), "celery", Pace.MOST)
            taken.append((time.perf_counter() - started) * 1000)
            assert len(jobs) == Pace.MOST
            cursor.execute("ROLLBACK")
    return statistics.median(taken[WARM:])
