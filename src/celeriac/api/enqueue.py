"""Writing what was asked: into the caller's transaction, and from an event loop on a connection of its own."""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from celery import signals
from django.db import connections

from celeriac.api import payload
from celeriac.api.builtins import SAME_AS
from celeriac.api.options import Asked
from celeriac.ledger import bell
from celeriac.ledger.database import connection_of, writing
from celeriac.ledger.doorbell import knock
from celeriac.ledger.rows import NewJob
from celeriac.ledger.verbs.insert import insert
from celeriac.ledger.verbs.insert_keyed import Keyed, insert_keyed

__all__ = ["enqueue", "on_helper", "outside_loop", "put"]


def enqueue(calls: Sequence[Asked]) -> list[str]:
    """Insert *calls*, joining the transaction open on the ledger's alias, and ring for them after its commit.

    Returns the task id of the job that now stands for each: its own, or that of the one that holds its key. Celery's
    publish signals are told around it, as around a message: tracing libraries write their context into the headers,
    and read it back in the worker's request.

    Raises:
        celeriac.errors.JobExists: as a call's `idempotency_conflict` says; nothing of the calls was inserted.
    """
    if signals.before_task_publish.receivers:
        calls = [asked._replace(job=_told(asked)) for asked in calls]
    ids = [asked.task_id for asked in calls]
    answers: Answers = outside_loop(_insert_and_ring, calls)
    if signals.after_task_publish.receivers:
        for index, asked in enumerate(calls):
            if _is_there(answers, index):
                signals.after_task_publish.send(
                    sender=asked.job.task, body=_body(asked), headers=_message_headers(asked), **asked.routing
                )
    for index, answer in answers.items():
        ids[index] = answer.task_id
    return ids


#: What became of the calls with keys, by their index. The others are jobs now, each by its own id.
Answers = dict[int, Keyed]


def _insert_and_ring(calls: Sequence[Asked]) -> Answers:
    made, keyed = [], []
    for index, asked in enumerate(calls):
        if asked.terms is None:
            made.append(asked.job)
        else:
            keyed.append(index)
    answers: Answers = {}
    rings = _rings(made)
    connection = connection_of()
    knock((asked.job.queue for asked in calls if _is_due(asked.job)), connection)
    if keyed:
        with writing():
            insert(made)
            answers = {index: put(calls[index]) for index in keyed}
        rings |= _rings([calls[index].job for index in keyed if _is_there(answers, index)])
    else:
        insert(made, using=connection)
    bell.ring_on_commit(rings, using=connection)
    return answers


def _rings(jobs: Iterable[NewJob]) -> set[str]:
    """Return whom *jobs* concern: their queues, and whoever stages what is not ready at once."""
    rings = set()
    for job in jobs:
        rings.add(job.queue)
        if job.lane or not _is_due(job):
            rings.add(bell.SCHEDULED)
    return rings


def _is_due(job: NewJob) -> bool:
    return job.delay <= 0 and job.run_at is None


def _is_there(answers: Answers, index: int) -> bool:
    """Whether a call made a job, or changed one."""
    return index not in answers or answers[index].outcome != "existing"


def put(asked: Asked) -> Keyed:
    """Insert one call's job, unless another holds its key, and return what stands for the call; rings for nobody."""
    job = asked.job
    if asked.terms is None:
        insert([job])
        return Keyed(job.id, asked.task_id, "made")
    answer = insert_keyed(job, conflict=asked.terms.conflict, slots=asked.terms.slots)
    if not asked.named or answer.id == job.id:
        return answer
    # Somebody may wait for this very id, like the next step of a chain: a job of that id ends as the holder does.
    same = NewJob(job.id, SAME_AS, job.queue, job.priority, args=payload.encode([answer.task_id]), headers=job.headers)
    insert([same])
    return Keyed(job.id, asked.task_id, "made")


def outside_loop(function: Callable[..., Any], *args: Any) -> Any:
    """Call *function*, on a helper thread when this thread runs an event loop.

    Django refuses database work in a loop's thread. Stock Celery's `delay()` blocks the loop for its publish; this
    blocks it for the insert, on the helper's own connection, so outside any transaction.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return function(*args)
    return on_helper(function, *args)


def on_helper(function: Callable[..., Any], *args: Any) -> Any:
    """Call *function* on a helper thread: on another connection, outside of any transaction open here."""
    return _helper().submit(_recovering, function, *args).result()


def _recovering(function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except Exception:
        # No request ends in this thread, so nobody else would replace a connection that broke.
        connections.close_all()
        raise


@cache
def _helper() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=4, thread_name_prefix="celeriac-enqueue")


# Its threads do not come along into a pool process, which would wait for them for ever.
os.register_at_fork(after_in_child=_helper.cache_clear)


def _message_headers(asked: Asked) -> dict[str, Any]:
    job = asked.job
    return {
        "lang": "py",
        "task": job.task,
        "id": asked.task_id,
        "root_id": asked.task_id,
        "retries": job.attempt,
        "eta": job.run_at and job.run_at.isoformat(),
        "expires": job.expires_at and job.expires_at.isoformat(),
        **{key: value for key, value in asked.headers.items() if key != "headers"},
        **(asked.headers.get("headers") or {}),
    }


def _body(asked: Asked) -> tuple[Any, Any, dict[str, Any]]:
    embedded = {key: asked.headers.get(key) for key in ("callbacks", "errbacks", "chain", "chord")}
    return payload.decode(asked.job.args), payload.decode(asked.job.kwargs), embedded


def _told(asked: Asked) -> NewJob:
    job = asked.job
    headers = _message_headers(asked)
    before = dict(headers)
    signals.before_task_publish.send(
        sender=job.task,
        body=_body(asked),
        headers=headers,
        properties={"correlation_id": asked.task_id, "reply_to": "", "priority": job.priority},
        declare=[],
        retry_policy={},
        **asked.routing,
    )
    added = {key: value for key, value in headers.items() if key not in before or before[key] != value}
    if not added:
        return job
    custom = {**(asked.headers.get("headers") or {}), **added}
    return job._replace(headers=payload.encode({**asked.headers, "headers": custom}))
