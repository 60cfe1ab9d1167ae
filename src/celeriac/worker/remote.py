"""`celery inspect active|reserved` and `celery control revoke|terminate`, which see ledger jobs too.

Celery keeps remote control commands by name, and the last registration of a name answers. Each command here answers for
the ledger's jobs and adds what Celery's own says of tasks that came by the broker.
"""

import time
from typing import Any

from celery.utils.functional import maybe_list
from celery.worker import control

from celeriac.api import payload
from celeriac.api.revoke import revoke as revoke_jobs
from celeriac.ledger.rows import ClaimedJob
from celeriac.worker.board import now
from celeriac.worker.claimer import Claimer

__all__ = ["register"]

_stock = {name: control.Panel.data[name] for name in ("active", "reserved", "revoke", "terminate")}


def register() -> None:
    """Put the commands in the panel; called when a worker with a ledger starts, so other apps keep Celery's own."""
    control.inspect_command(name="active", alias="dump_active")(active)
    control.inspect_command(name="reserved", alias="dump_reserved")(reserved)
    control.control_command(name="revoke", variadic="task_id", signature="[id1 [id2 [... [idN]]]]")(revoke)
    control.control_command(
        name="terminate", variadic="task_id", args=[("signal", str)], signature="<signal> [id1 [id2 [... [idN]]]]"
    )(terminate)


def _claimer(state: Any) -> Claimer | None:
    ledger = getattr(state.consumer.controller, "ledger", None)
    return getattr(ledger, "claimer", None)


def active(state: Any, safe: bool = False, **_: Any) -> list[dict[str, Any]]:
    """List of tasks currently being executed."""
    claimer = _claimer(state)
    running = list(claimer.dispatcher.running()) if claimer else []
    return [
        *_stock["active"](state, safe=safe),
        *(_info(job, state, pid=claim.pid, started=started) for claim, job, started in running),
    ]


def reserved(state: Any, **kwargs: Any) -> list[dict[str, Any]]:
    """List of currently reserved tasks, not including scheduled/active."""
    claimer = _claimer(state)
    jobs: list[dict[str, Any]] = []
    for claim in tuple(claimer.dispatcher.claims) if claimer else ():
        mark = claimer.dispatcher.board.running(claim.slot) if claimer else None
        jobs.extend(_info(job, state, pid=None) for job in claim.jobs[mark[0] + 1 if mark else 0 :])
    return [*_stock["reserved"](state, **kwargs), *jobs]


def _info(job: ClaimedJob, state: Any, pid: int | None, started: float | None = None) -> dict[str, Any]:
    headers = payload.decode(job.headers)
    return {
        "id": headers.get("id") or str(job.id),
        "name": headers.get("shadow") or job.task,
        "args": payload.decode(job.args),
        "kwargs": payload.decode(job.kwargs),
        "type": job.task,
        "hostname": state.consumer.hostname,
        "time_start": None if started is None else time.time() - (now() - started),
        "acknowledged": True,
        "delivery_info": {"exchange": "", "routing_key": job.queue, "priority": job.priority, "redelivered": False},
        "worker_pid": pid,
    }


def revoke(state: Any, task_id: Any, terminate: bool = False, signal: Any = None, **kwargs: Any) -> dict[str, Any]:
    """Revoke task by task id (or list of ids)."""
    ids = [str(id_) for id_ in maybe_list(task_id) or []]
    if _claimer(state) is not None:
        unknown = revoke_jobs(ids, terminate=terminate, signal=signal)
        if ids and not unknown:
            return {"ok": f"{'terminate' if terminate else 'revoke'}: {', '.join(ids)}"}
        task_id = unknown
    answer: dict[str, Any] = _stock["revoke"](state, task_id, terminate=terminate, signal=signal, **kwargs)
    return answer


def terminate(state: Any, signal: Any, task_id: Any, **_: Any) -> dict[str, Any]:
    """Terminate task by task id (or list of ids)."""
    return revoke(state, task_id, terminate=True, signal=signal)
