"""What Celery's own parts cost a job at the least: the pipe to a pool process, and the tracer. No ledger, no worker."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from measures import repeated

JOBS = 50  # in a claim: as many as `measures/limits.py` takes at once


def pipe(seconds: float) -> list[float]:
    """Return the seconds of each round trip of a claim through billiard's pipe, measured for so long.

    There goes a pickled list of 50 claimed jobs, back comes how many there were: as a pool process is given a claim and
    answers with counts.
    """
    from billiard import Pipe, Process

    ours, theirs = Pipe()
    process = Process(target=answer, args=(theirs, ours), daemon=True)
    process.start()
    theirs.close()
    jobs = [claimed(number) for number in range(JOBS)]

    def once() -> None:
        ours.send(jobs)
        assert ours.recv() == JOBS

    try:
        return repeated(seconds, once)
    finally:
        ours.send(None)
        process.join()


def answer(pipe_: Any, other: Any) -> None:
    other.close()
    while (jobs := pipe_.recv()) is not None:
        pipe_.send(len(jobs))


def claimed(number: int) -> Any:
    from celeriac.ledger.rows import ClaimedJob

    now = datetime.now(UTC)
    return ClaimedJob(uuid4(), "bench.noop", "celery", 0, f"[{number}]", "{}", "{}", 0, 0, 1, now, None)


def tracer(seconds: float) -> list[float]:
    """Return the seconds of each call of Celery's tracer, measured for so long.

    A task that does nothing, traced as in a pool process (not eager), with the request of a message and a backend that
    stores nothing.
    """
    from celery import Celery
    from celery.app.trace import build_tracer

    # No fixups: the one for Django belongs to a worker.
    app = Celery("limits", backend="disabled://", fixups=[])
    task = app.task(name="bench.noop")(noop)
    app.finalize()
    trace = build_tracer(task.name, app.tasks[task.name], app.loader, "bench", app=app, eager=False)
    id_ = str(uuid4())
    request = {
        "lang": "py",
        "task": task.name,
        "id": id_,
        "root_id": id_,
        "correlation_id": id_,
        "retries": 0,
        "hostname": "bench",
        "is_eager": False,
        "timelimit": [None, None],
        "stamps": {},
        "argsrepr": "(1,)",
        "kwargsrepr": "{}",
        "delivery_info": {"exchange": "", "routing_key": "celery", "priority": 0, "redelivered": False},
        "headers": {},
    }
    assert trace(id_, [1], {}, dict(request))[1] is None
    return repeated(seconds, lambda: trace(id_, [1], {}, dict(request)))


def noop(number: int) -> None:
    """Do nothing, as the bodies of the systems do but for their count."""
