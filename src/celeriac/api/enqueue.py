"""Writing what was asked: into the caller's transaction, and from an event loop on a connection of its own."""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from celery import signals
from django.db import connections

from celeriac.api import payload
from celeriac.api.options import Asked
from celeriac.ledger import bell
from celeriac.ledger.rows import NewJob
from celeriac.ledger.verbs.insert import insert

__all__ = ["enqueue", "on_helper", "outside_loop"]


def enqueue(calls: Sequence[Asked]) -> None:
    """Insert *calls*, joining the transaction open on the ledger's alias, and ring for them after its commit.

    Celery's publish signals are told around it, as around a message: tracing libraries write their context into the
    headers, and read it back in the worker's request.
    """
    jobs = [asked.job for asked in calls]
    if signals.before_task_publish.receivers:
        jobs = [_told(asked) for asked in calls]
    outside_loop(_insert_and_ring, jobs)
    if signals.after_task_publish.receivers:
        for asked in calls:
            signals.after_task_publish.send(
                sender=asked.job.task, body=_body(asked), headers=_message_headers(asked), **asked.routing
            )


def _insert_and_ring(jobs: Sequence[NewJob]) -> None:
    insert(jobs)
    later = any(job.delay > 0 or job.run_at is not None or job.lane for job in jobs)
    queues = {job.queue for job in jobs}
    bell.ring_on_commit([*queues, bell.SCHEDULED] if later else queues)


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
