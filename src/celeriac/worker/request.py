"""From a row to the request that Celery's tracer and the task see."""

from typing import Any

from celery.utils.saferepr import saferepr

from celeriac.api import payload
from celeriac.ledger.rows import ClaimedJob

__all__ = ["request_of"]


#: As long as Celery lets a representation of arguments become.
SHOWN = 1024


def _shown(value: Any, text: str) -> str:
    # Celery's saferepr() costs what the rest of this module does; it is only needed to cut what is long.
    return repr(value) if len(text) < SHOWN else str(saferepr(value, SHOWN))


def request_of(job: ClaimedJob, hostname: str) -> tuple[str, Any, Any, dict[str, Any]]:
    """Return (task id, args, kwargs, request dict) for a claimed job, the request as a message would have made it."""
    headers: dict[str, Any] = payload.decode(job.headers) if job.headers != "{}" else {}
    args, kwargs = payload.decode(job.args), payload.decode(job.kwargs)
    task_id = headers.pop("id", None) or str(job.id)
    # As in a message: custom headers are attributes of the request, and together in its `headers`.
    custom = headers.pop("headers", None) or {}
    request = {
        "lang": "py",
        "task": job.task,
        "id": task_id,
        "root_id": task_id,
        "retries": job.attempt,
        "hostname": hostname,
        "is_eager": False,
        "timelimit": [None, None],
        "stamps": {},
        "args": args,
        "kwargs": kwargs,
        "argsrepr": _shown(tuple(args), job.args),
        "kwargsrepr": _shown(kwargs, job.kwargs),
        "correlation_id": task_id,
        "expires": job.expires_at.isoformat() if job.expires_at else None,
        "delivery_info": {
            "exchange": "",
            "routing_key": job.queue,
            "priority": job.priority,
            "redelivered": job.claim_no > 1,
        },
        **custom,
        **headers,
        "headers": custom,
    }
    return task_id, args, kwargs, request
