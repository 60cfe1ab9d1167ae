"""From Celery's calling options to a row. Pure but for the router: nothing is written here."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from numbers import Real
from typing import Any, NamedTuple

from celery.utils.functional import maybe_list
from celery.utils.time import maybe_make_aware

from celeriac.api import payload
from celeriac.api.keys import NO_RULES, Terms, rules_for, with_keys
from celeriac.ledger.ids import job_id, new_id, new_uuid
from celeriac.ledger.rows import NewJob

__all__ = ["Asked", "ask", "is_durable"]

#: Options that mean something only to a broker; a row has no use for them.
_BROKER_ONLY = frozenset(
    {
        *("producer", "connection", "publisher", "router", "serializer", "compression", "retry", "retry_policy"),
        *("delivery_mode", "exchange_type", "declare", "mandatory", "immediate", "timeout", "confirm_timeout"),
        *("expiration", "result_cls", "add_to_parent", "route_name", "task_type", "rate_limit", "event_dispatcher"),
    }
)

_DESTINATION = frozenset({"queue", "exchange", "routing_key"})

_TIMES = frozenset({"countdown", "eta", "expires"})

#: Options that a row has a column for. With these and the broker's alone a call has no headers.
_IN_COLUMNS = _DESTINATION | _TIMES | {"priority", "retries"}
_NO_HEADERS = _BROKER_ONLY | _IN_COLUMNS | {"task_id", "ignore_result"}


class Asked(NamedTuple):
    """A call, ready to insert: its task id as the caller knows it, its row, and what signals are told."""

    task_id: str
    job: NewJob
    ignore_result: bool | None
    headers: dict[str, Any]
    routing: dict[str, Any]
    terms: Terms | None = None  # how it is inserted, if it has a key
    named: bool = False  # the caller chose the id, and may have told others of it


def is_durable(task: Any, options: dict[str, Any]) -> bool:
    """Take `durable` out of *options* and say whether this call belongs in the ledger."""
    durable = options.pop("durable", None)
    return bool(getattr(task, "durable", True) if durable is None else durable)


def ask(app: Any, name: str, args: Any, kwargs: Any, task: Any, options: dict[str, Any], parent: Any = None) -> Asked:
    """Return the row that *options*, as `Task.apply_async` takes them, ask for; *parent* is the task that calls.

    Raises:
        celeriac.errors.ConfigurationError: when what the call says of keys makes no sense.
        celeriac.errors.PayloadError: when arguments or callbacks cannot be kept.
        ValueError: for a priority outside 0-9, for a key that comes out empty or too long.
    """
    options = {key: value for key, value in options.items() if value is not None}
    rules = rules_for(task, options)
    queue_name, options = _routed(app, name, args, kwargs, task, options)
    named = options.get("task_id")
    id_ = job_id(named) if named else new_uuid()
    task_id = str(named or id_)
    headers = _headers(parent, task, task_id, options, other_id=named is not None and str(id_) != task_id)
    run = getattr(task, "run", None)
    packed_args, packed_kwargs = payload.encode_call(name, args or (), kwargs or {}, run)
    job = NewJob(
        id=id_,
        task=name,
        queue=queue_name,
        priority=_priority(app, task, options.get("priority")),
        args=packed_args,
        kwargs=packed_kwargs,
        headers=payload.encode(headers) if headers else "{}",
        attempt=int(options.get("retries") or 0),
        fresh=not named,
        **_times(app, options),
    )
    terms = None
    if rules is not NO_RULES and rules and not options.get("retries"):  # a retry is of a job that has its keys
        job, terms = with_keys(job, rules, task, args or (), kwargs or {}, timed=bool(job.delay or job.run_at))
    routing = {"exchange": "", "routing_key": queue_name}
    return Asked(task_id, job, options.get("ignore_result"), headers, routing, terms, bool(named))


def _routed(
    app: Any, name: str, args: Any, kwargs: Any, task: Any, options: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return the queue, and *options* over what CELERY_TASK_ROUTES adds to them."""
    router = app.amqp.router
    if not router.routes and _DESTINATION.isdisjoint(options):
        return _default_queue(app, task), options
    destination = {key: options[key] for key in _DESTINATION if key in options}
    routed = router.route(destination, options.get("route_name") or name, args, kwargs, task)
    queue = routed.pop("queue", None)
    queue_name = getattr(queue, "name", queue) or options.get("routing_key") or _default_queue(app, task)
    return str(queue_name), {**{key: value for key, value in routed.items() if key not in _BROKER_ONLY}, **options}


def _default_queue(app: Any, task: Any) -> str:
    # A task has the project's from when it was bound; a call by the name of another project's has no task.
    return str(getattr(task, "default_queue", None) or app.conf.task_default_queue)


def _headers(parent: Any, task: Any, task_id: str, options: Mapping[str, Any], *, other_id: bool) -> dict[str, Any]:
    """Return what Celery's message headers would tell the worker, without what is empty or in a column.

    *other_id*: the row's is not the task's.
    """
    ignore_result = options.get("ignore_result")
    if ignore_result == getattr(task, "ignore_result", None):
        ignore_result = None
    if parent is None and not other_id and ignore_result is None and options.keys() <= _NO_HEADERS:
        return {}
    root_id, parent_id = options.get("root_id"), options.get("parent_id")
    if parent is not None and parent.request.id:
        root_id = root_id or parent.request.root_id or parent.request.id
        parent_id = parent_id or parent.request.id
    stamped = list(options.get("stamped_headers") or ())
    limits = [options.get("time_limit"), options.get("soft_time_limit")]
    headers = {
        "id": task_id if other_id else None,
        "root_id": root_id if root_id != task_id else None,
        "parent_id": parent_id,
        "group": options.get("group_id"),
        "group_index": options.get("group_index"),
        "shadow": options.get("shadow"),
        "timelimit": limits if any(limits) else None,
        "ignore_result": ignore_result,
        "callbacks": _frozen(options.get("link")),
        "errbacks": _frozen(options.get("link_error")),
        "chain": options.get("chain"),
        "chord": options.get("chord"),
        "argsrepr": options.get("argsrepr"),
        "kwargsrepr": options.get("kwargsrepr"),
        "origin": options.get("origin"),
        "reply_to": options.get("reply_to"),
        "replaced_task_nesting": options.get("replaced_task_nesting") or None,
        "stamped_headers": stamped,
        "stamps": {stamp: maybe_list(options[stamp]) for stamp in stamped if stamp in options},
        "headers": options.get("headers"),
    }
    return {key: value for key, value in headers.items() if value is not None and value not in ("", [], {})}


def _frozen(signatures: Any) -> list[Any] | None:
    """Give each callback its id now, so that asking for it twice, after a crash, is asking once."""
    if not signatures:
        return None
    frozen = []
    for signature in maybe_list(signatures):
        if isinstance(signature, dict) and not signature.get("subtask_type"):
            chosen = {"task_id": new_id(), **(signature.get("options") or {})}
            signature = {**signature, "options": chosen}  # noqa: PLW2901 - the caller's stays as it is
        frozen.append(signature)
    return frozen


def _priority(app: Any, task: Any, given: Any) -> int:
    # A task has the project's default from when it was bound, as in Celery.
    priority = app.conf.task_default_priority if given is None and task is None else given
    if priority is None:
        return 0
    if not isinstance(priority, int) or not 0 <= priority <= 9:
        raise ValueError(f"priority must be a whole number from 0 to 9 (9 is most urgent), not {priority!r}")
    return priority


def _moment(app: Any, value: datetime | str) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    aware: datetime = maybe_make_aware(moment, app.timezone)
    return aware


def _times(app: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the row has other than its defaults of when it runs, and until when it may."""
    if _TIMES.isdisjoint(options):
        return {}
    times: dict[str, Any] = {}
    countdown, eta, expires = (options.get(name) for name in ("countdown", "eta", "expires"))
    if countdown:
        times["delay"] = max(0.0, _seconds(countdown))
    elif eta:
        times["run_at"] = _moment(app, eta)
    if isinstance(expires, Real | timedelta):
        times["expires_in"] = _seconds(expires)
    elif expires is not None:
        times["expires_at"] = _moment(app, expires)
    return times


def _seconds(value: Any) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)
