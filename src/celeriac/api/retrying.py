"""When a body that failed is tried again: what its task declares, and the wrapper around the body that does it.

The wrapper takes the place of Celery's (`celery.app.autoretry`), which keeps one call's limit on the task that all
threads share, and knows neither budgets nor what other exceptions deserve. The knobs mean what they mean there.
"""

import inspect
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any

from celery.app.task import Task as CeleryTask
from celery.exceptions import TaskPredicate

from celeriac.api.context import current_run
from celeriac.api.endings import Cancel
from celeriac.api.retry_after import retry_after
from celeriac.errors import ConfigurationError, InDoubt
from celeriac.outcomes import Policy, wait_before_retry

__all__ = ["Discarded", "again", "policy_of", "require_policies", "with_retries"]


class Discarded(Cancel):
    """The body raised what its task's `discard_on` names; `__cause__` is that."""


def policy_of(task: Any, error: BaseException | None = None) -> Policy:
    """Return when *task* wants to be tried again after *error*: its class's own policy, else what the task declares."""
    own = getattr(task, "retry_on", None) or {}
    for kind in type(error).__mro__ if error is not None else ():
        if kind in own:
            policy: Policy = own[kind]
            return policy
    options = getattr(task, "retry_kwargs", {})
    most = options.get("max_retries", task.max_retries)
    budget = getattr(task, "retry_for", None)
    if budget is not None and not _says(task, "max_retries") and "max_retries" not in options:
        most = None  # time is the limit, not the three that Celery takes where nothing is said
    backoff = getattr(task, "retry_backoff", False)
    if not backoff:
        delay = task.default_retry_delay
        return Policy(max_retries=most, delay=delay, factor=1, max_delay=delay, jitter=False, retry_for=budget)
    return Policy(
        max_retries=most,
        delay=float(backoff),
        factor=2,
        max_delay=getattr(task, "retry_backoff_max", 600),
        jitter=getattr(task, "retry_jitter", True),
        retry_for=budget,
    )


def _says(task: Any, name: str) -> bool:
    """Whether the task, or a class it is made of, names a value; Celery's own class does not count."""
    if not inspect.isclass(task) and name in vars(task):
        return True
    kinds = task.__mro__ if inspect.isclass(task) else task.__class__.__mro__  # which a proxy of a task has, too
    return any(name in vars(kind) for kind in kinds if kind not in CeleryTask.__mro__)


def require_policies(task: Any) -> None:
    """Raise `ConfigurationError` where what *task* says of retries makes no sense."""
    try:
        policy_of(task)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"The retries of task {task.name}: {error}") from None
    own = getattr(task, "retry_on", None) or {}
    if not isinstance(own, Mapping) or not all(_is_error(kind) and isinstance(own[kind], Policy) for kind in own):
        raise ConfigurationError(f"retry_on of task {task.name} must be {{exception class: Policy(...)}}, not {own!r}")
    for name in ("autoretry_for", "dont_autoretry_for", "discard_on"):
        kinds = getattr(task, name, ())
        if not all(map(_is_error, kinds if isinstance(kinds, list | tuple | set | frozenset) else [kinds])):
            raise ConfigurationError(f"{name} of task {task.name} must be exception classes, not {kinds!r}")


def _is_error(kind: Any) -> bool:
    return inspect.isclass(kind) and issubclass(kind, BaseException)


def _kinds(task: Any, name: str) -> tuple[type[BaseException], ...]:
    kinds: Any = getattr(task, name, ())
    return (kinds,) if isinstance(kinds, type) else tuple(kinds)


def with_retries(task: type[Any]) -> Any:
    """Return the class attribute `run` of *task* so that what it declares of failures happens."""
    run = inspect.getattr_static(task, "run")
    body = run.__func__ if isinstance(run, staticmethod) else run
    if getattr(body, "__celeriac_retries__", False) or not any(
        getattr(task, name, None) for name in ("autoretry_for", "retry_on", "discard_on")
    ):
        return run
    if isinstance(run, staticmethod):
        name, app = task.name, task.app
        return staticmethod(_around(body, lambda _args: app.tasks[name]))
    return _around(body, lambda args: args[0])


def _around(body: Callable[..., Any], task_of: Callable[[Any], Any]) -> Callable[..., Any]:
    @wraps(body)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return body(*args, **kwargs)
        except (TaskPredicate, InDoubt):
            raise  # the body has said what shall become of it; or what it did is for somebody to find out
        except Exception as error:
            _answer(task_of(args), error)
            raise

    run.__celeriac_retries__ = True  # type: ignore[attr-defined]
    return run


def _answer(task: Any, error: Exception) -> None:
    """Raise what *error* means to *task*; return where it means nothing special."""
    request = task.request
    if request.called_directly or isinstance(error, _kinds(task, "dont_autoretry_for")):
        return
    if isinstance(error, _kinds(task, "discard_on")):
        raise Discarded(f"{type(error).__name__}: {error}") from error
    run = current_run(request.id)
    if run is not None and run.exhausted:
        return
    own = isinstance(error, tuple(getattr(task, "retry_on", None) or ()))
    if own or isinstance(error, _kinds(task, "autoretry_for")):
        # How often is the policy's to say; and when, but for a plain countdown.
        planned = own or getattr(task, "retry_backoff", False)
        left_out = {"max_retries", "countdown", "eta"} if planned else {"max_retries"}
        options = {name: value for name, value in getattr(task, "retry_kwargs", {}).items() if name not in left_out}
        raise task.retry(exc=error, throw=False, **options)


def again(task: Any, error: BaseException | None, most: int | None, *, timed: bool) -> tuple[float | None, int]:
    """Return (seconds to wait, limit to tell Celery) for a retry that the running body asks for.

    *most* is the limit of this call, where it names one. *timed*: the caller says when, so only whether is asked. The
    limit is such that Celery comes to the decision made here.
    """
    request = task.request
    run = current_run(request.id)
    policy = policy_of(task, error)
    if most is not None:
        policy = replace(policy, max_retries=most)
    elif run is None and policy.max_retries is None and policy.retry_for is not None:
        policy = replace(policy, max_retries=CeleryTask.max_retries)  # eagerly no time passes, and this would never end
    failing_for = 0.0  # until this failure
    if run is not None and run.job.failing_for is not None:
        failing_for = run.job.failing_for + time.monotonic() - run.began
    roll = random.random()  # noqa: S311 - spread, not secrecy
    asked = None if timed else retry_after(error)
    wait = wait_before_retry(policy, request.retries, roll, failing_for=failing_for, asked=asked)
    if run is not None and wait is None:
        run.exhausted = True
    return wait, request.retries if wait is None else request.retries + 1
