"""Keys: which calls are one job, how many a time, and which jobs run one after the other.

Said on a task or for one call. A key is a format string over the call's bound arguments, or a function of them:

    @shared_task(idempotency_key="inv-{invoice_id}")
    def send_invoice(invoice_id, resend=False): ...
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from hashlib import blake2b
from string import Formatter
from typing import Any, Literal

from celeriac.errors import ConfigurationError
from celeriac.ledger.ids import key_digest
from celeriac.ledger.rows import EXCLUSIVE, NewJob

__all__ = ["NO_RULES", "Rules", "Terms", "require_keys", "rules_for", "with_keys"]

#: As `Job.key` and `Job.lane` hold.
LONGEST = 200

Template = str | Callable[..., object]
Conflict = Literal["existing", "raise", "replace", "move"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a task or a call says of keys; None is nothing."""

    idempotency_key: Template | None = None
    idempotency_scope: str | float | timedelta | None = None  # while_unfinished, forever, or for so long
    idempotency_conflict: Literal["existing", "raise", "replace"] | None = None
    debounce: float | timedelta | None = None
    throttle: tuple[int, float | timedelta] | None = None
    exclusive: Template | None = None

    def __bool__(self) -> bool:
        return bool(self.idempotency_key or self.debounce or self.throttle or self.exclusive)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a job with a key is to be inserted: what to do when the key is held, and which digests may be tried."""

    conflict: Conflict = "existing"
    slots: tuple[str, ...] = ()

    def mild(self) -> "Terms":
        """Return the same for a caller that cannot be answered with an exception."""
        return replace(self, conflict="existing") if self.conflict == "raise" else self


NAMES = frozenset(field.name for field in fields(Rules))

NO_RULES = Rules()


def rules_for(task: Any, options: dict[str, Any]) -> Rules:
    """Take what one call says of keys out of its *options*; return it over what its *task* says."""
    declared: Rules = getattr(task, "key_rules", NO_RULES)
    if NAMES.isdisjoint(options):
        return declared
    said = {name: options.pop(name) for name in NAMES & options.keys()}
    rules = replace(declared, **said)
    _require(rules, getattr(task, "name", "the call"), None)
    return rules


def require_keys(task: type[Any]) -> Rules:
    """Return what the class *task* declares.

    Raises:
        ConfigurationError: when that makes no sense, or names an argument that the task does not have.
    """
    # As they stand there: a function in a class would come out bound, as a method.
    rules = Rules(**{name: inspect.getattr_static(task, name, None) for name in NAMES if name != "idempotency_key"})
    key = inspect.getattr_static(task, "idempotency_key", None)
    rules = replace(rules, idempotency_key=None if isinstance(key, property) else key)
    _require(rules, task.name or task.__name__, _signature(task) if rules else None)
    return NO_RULES if rules == NO_RULES else rules  # itself, which each call knows at a glance


def _require(rules: Rules, name: str, signature: inspect.Signature | None) -> None:
    for why in (*_misfits(rules, signature), *_contradictions(rules)):
        raise ConfigurationError(f"Task {name}: {why}")


def _misfits(rules: Rules, signature: inspect.Signature | None) -> Iterator[str]:
    """Yield what is wrong with each of *rules* by itself."""
    for option in ("idempotency_key", "exclusive"):
        template = getattr(rules, option)
        if template and not isinstance(template, str) and not callable(template):
            yield f"{option} must be a format string or a function of the task's arguments, not {template!r}"
        if isinstance(template, str) and (why := _fault(template, signature)):
            yield f"{option}={template!r} {why}"
    scope, conflict = rules.idempotency_scope, rules.idempotency_conflict
    if scope not in (None, "while_unfinished", "forever") and not _is_time(scope):
        yield f"idempotency_scope is 'while_unfinished', 'forever' or a time, not {scope!r}"
    if conflict not in (None, "existing", "raise", "replace"):
        yield f"idempotency_conflict is 'existing', 'raise' or 'replace', not {conflict!r}"
    if rules.debounce and not _is_time(rules.debounce):
        yield f"debounce must be a time above 0, not {rules.debounce!r}"
    if rules.throttle and not _is_rate(rules.throttle):
        yield f"throttle must be (jobs, time), like (10, 60), not {rules.throttle!r}"


def _contradictions(rules: Rules) -> Iterator[str]:
    """Yield what of *rules* does not go together."""
    conflict = rules.idempotency_conflict
    if bool(rules.debounce) + bool(rules.throttle) + (rules.idempotency_scope is not None) > 1:
        yield "debounce, throttle and idempotency_scope each say how long a key is held; choose one"
    if (rules.idempotency_scope or conflict == "replace") and not rules.idempotency_key:
        yield "idempotency_scope and idempotency_conflict='replace' are about an idempotency_key; there is none"
    if conflict and rules.debounce:
        yield "with debounce a later call replaces the pending one; idempotency_conflict has no say"
    if conflict == "replace" and rules.throttle:
        yield "what a throttle keeps back replaces nothing; idempotency_conflict is 'existing' or 'raise'"


def _is_time(value: Any) -> bool:
    return not isinstance(value, bool | str) and isinstance(value, int | float | timedelta) and _seconds(value) > 0


def _is_rate(value: Any) -> bool:
    if not isinstance(value, tuple | list) or len(value) != 2:
        return False
    return type(value[0]) is int and 0 < value[0] <= 1000 and _is_time(value[1])


def _seconds(value: Any) -> float:
    return float(value.total_seconds() if isinstance(value, timedelta) else value)


def _signature(task: Any) -> inspect.Signature:
    """Return the signature that callers see, of a task class or an instance."""
    if not inspect.isclass(task):
        return inspect.signature(task.run)
    run = inspect.getattr_static(task, "run")
    if isinstance(run, staticmethod):
        return inspect.signature(run.__func__)
    signature = inspect.signature(run)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _fault(template: str, signature: inspect.Signature | None) -> str:
    """Return what is wrong with *template*, or ""."""
    try:
        names = list(_names(template))
    except ValueError as error:
        return f"is no format string: {error}"
    parameters = signature.parameters.values() if signature else ()
    takes_any = signature is None or any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    known = {parameter.name for parameter in parameters}
    for name in names:
        if not name or name.isdigit() or not (takes_any or name in known):
            return f"names {name or '{}'!r}, which is not one of its arguments"
    return ""


def _names(template: str) -> Iterator[str]:
    for _, name, spec, _ in Formatter().parse(template):
        if name is not None:
            yield name.partition(".")[0].partition("[")[0]
            yield from _names(spec or "")


def with_keys(
    job: NewJob, rules: Rules, task: Any, args: Any, kwargs: Mapping[str, Any], *, timed: bool
) -> tuple[NewJob, Terms | None]:
    """Return *job* with the keys that *rules* give it, and how it is to be inserted (None: as any job).

    *timed*: the call says when it is to run.

    Raises:
        ValueError: when a key comes out empty or too long, or does not fit the arguments.
    """
    arguments = _Arguments(task, args, kwargs, job.task)
    if rules.exclusive:
        job = job._replace(lane=arguments.render("exclusive", rules.exclusive), reason=EXCLUSIVE)
    if not (rules.idempotency_key or rules.debounce or rules.throttle):
        return job, None
    key = arguments.render("idempotency_key", rules.idempotency_key) if rules.idempotency_key else ""
    if rules.throttle:
        most, window = rules.throttle
        slots = tuple(key_digest(job.task, f"{key}#{number}") for number in range(most))
        job = job._replace(key=key, held=slots[0], hold="until", hold_for=_seconds(window))
        return job, Terms(rules.idempotency_conflict or "existing", slots)
    if rules.debounce:
        key = key or f"args-{blake2b(f'{job.args}{job.kwargs}'.encode(), digest_size=8).hexdigest()}"
        delay = job.delay if timed else _seconds(rules.debounce)
        return job._replace(key=key, held=key_digest(job.task, key), hold="pending", delay=delay), Terms("move")
    job = job._replace(key=key, held=key_digest(job.task, key), **_hold(rules.idempotency_scope))
    return job, Terms(rules.idempotency_conflict or "existing")


def _hold(scope: Any) -> dict[str, Any]:
    if scope in (None, "while_unfinished"):
        return {"hold": "open"}
    return {"hold": "until", "hold_for": None if scope == "forever" else _seconds(scope)}


class _Arguments:
    """A call's arguments by name, bound when they are asked for first."""

    def __init__(self, task: Any, args: Any, kwargs: Mapping[str, Any], name: str) -> None:
        self.task, self.args, self.kwargs, self.name = task, args, kwargs, name

    def render(self, option: str, template: Template) -> str:
        try:
            text = self._render(template)
        except (TypeError, LookupError, AttributeError) as error:
            raise ValueError(f"{option} of task {self.name} does not fit the call: {error}") from error
        if not text or len(text) > LONGEST:
            raise ValueError(
                f"{option} of task {self.name} comes out as {text[:50]!r}, of {len(text)} characters; "
                f"a key has 1 to {LONGEST}."
            )
        return text

    def _render(self, template: Template) -> str:
        if not isinstance(template, str):
            return str(template(*self.args, **self.kwargs))
        if self.task is None:  # called by its name, where the task is not known: by keyword only
            return Formatter().vformat(template, (), self.kwargs)
        bound = _signature(self.task).bind(*self.args, **self.kwargs)
        bound.apply_defaults()
        values = dict(bound.arguments)
        for name, parameter in bound.signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                values |= values.pop(name, {})
        return Formatter().vformat(template, (), values)
