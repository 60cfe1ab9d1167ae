"""Does Celeriac's table stay as large as it should? Jobs at a steady rate for minutes, pruned behind the worker.

`RETENTION` is a minute, so the table holds what a minute or two of jobs need, and their dead rows. Autovacuum is at its
defaults. A sweep of the pruner takes place once a minute at most: in a quick run there is none, and the table grows.
"""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any
from unittest import mock

from stream import stream

from measures import quantile

RATE, BATCH = 1_000, 50  # jobs a second, and in a call
RETENTION = 60  # seconds
SAMPLES = 120  # looks at the table, at most one a second
PAUSE = 0.25  # seconds between stamped jobs: a call each, beside the batches

FIGURES = {
    "done": "/s",
    "behind": "",
    "p99": "ms",
    **{f"{what} at {when}": "MB" for what in ("table", "indexes") for when in ("1/3", "2/3", "the end")},
    "table grew": "%",
    "indexes grew": "%",
    "rows at the end": "",
    "dead rows, most": "",
}

TABLE = """
SELECT pg_table_size(relid), n_dead_tup, (SELECT count(*) FROM celeriac_job)
FROM pg_stat_user_tables WHERE relname = 'celeriac_job'
"""
INDEXES = """
SELECT indexrelname, pg_relation_size(indexrelid) FROM pg_stat_user_indexes WHERE relname = 'celeriac_job'
"""
MB = 1 << 20


def run(stand: Any) -> dict[str, float]:
    stand.stop_worker()
    seconds = stand.plan["soak_seconds"]
    settings = {**json.loads(os.environ["BENCH_SETTINGS"]), "CELERIAC": {"RETENTION": {"seconds": RETENTION}}}
    with mock.patch.dict(os.environ, BENCH_SETTINGS=json.dumps(settings)):
        stand.warm_worker()
    # The statistics still count dead rows of an earlier measure.
    stand.sql("VACUUM ANALYZE celeriac_job")
    over = threading.Event()
    watch = threading.Thread(target=sample, args=(stand, max(1.0, seconds / SAMPLES), over))
    watch.start()
    try:
        started = time.monotonic()
        streamed = stream(stand, RATE, seconds, batch=BATCH, pause=PAUSE)
        done = (stand.count() + len(streamed.taken)) / (time.monotonic() - started)
    finally:
        over.set()
        watch.join()
        stand.stop_worker()
    if not streamed.taken:
        raise TimeoutError(f"none of {streamed.unanswered} stamped jobs ran in time")
    return {
        "done": round(done),
        "behind": streamed.behind,
        "p99": round(quantile(streamed.taken, 0.99), 1),
        **sizes(stand.series, seconds),
        "rows at the end": stand.series["rows"][-1][1],
        "dead rows, most": max(value for _, value in stand.series["dead rows"]),
    }


def sample(stand: Any, pause: float, over: threading.Event) -> None:
    """Look at the table's size (MB), rows and dead rows, and each index's size (MB), until it is over, once after."""
    begin, last = time.monotonic(), False
    while not last:
        last = over.wait(pause)
        [(size, dead, rows)] = stand.sql(TABLE)
        found = {name: value / MB for name, value in stand.sql(INDEXES)}
        seen = {"table": size / MB, "indexes": sum(found.values()), "rows": rows, "dead rows": dead, **found}
        at = round(time.monotonic() - begin, 1)
        for name, value in seen.items():
            stand.series.setdefault(name, []).append((at, round(value, 2)))


def sizes(series: dict[str, list[tuple[float, float]]], seconds: float) -> dict[str, float]:
    """Return the MB of the table and of its indexes after each third, and by how much they grew since the first one.

    Growth is the end over the most of the first third, in which the table fills: a plateau is about 0 %.
    """
    figures = {}
    for what in ("table", "indexes"):
        for when, until in {"1/3": seconds / 3, "2/3": seconds * 2 / 3, "the end": None}.items():
            figures[f"{what} at {when}"] = [value for at, value in series[what] if until is None or at <= until][-1]
        most = max(value for at, value in series[what] if at <= seconds / 3)
        figures[f"{what} grew"] = round(100 * (series[what][-1][1] / most - 1), 1)
    return figures
