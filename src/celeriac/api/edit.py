"""Other arguments for a job that is to be replayed: checked against the task before anything is sent back."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from celeriac.api.payload import encode_call
from celeriac.errors import WrongArguments
from celeriac.ledger.models import Job

__all__ = ["edited"]


def edited(
    app: Any, job: Job, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None
) -> tuple[str, str, dict[str, list[Any]]]:
    """Return *job*'s new positional and keyword arguments as JSON text, and what differs: {argument: [before, after]}.

    None leaves the arguments of that kind as they are. An argument that was not there before, or is not any more, is
    None in the difference. The values in it are as the JSON says them. A task that this process does not know has no
    signature to check against.

    Raises:
        WrongArguments: when the task would not take them; the message names the argument.
        celeriac.errors.PayloadError: when one of them cannot be kept.
    """
    task = app.tasks.get(job.task)
    run: Callable[..., Any] | None = task.run if task is not None else None
    packed = encode_call(job.task, args if args is not None else (), kwargs if kwargs is not None else {}, run)
    new_args = packed[0] if args is not None else job.args
    new_kwargs = packed[1] if kwargs is not None else job.kwargs
    after_args, after_kwargs = json.loads(new_args), json.loads(new_kwargs)
    _require_fit(job.task, task, after_args, after_kwargs)
    before = _named(run, json.loads(job.args), json.loads(job.kwargs))
    after = _named(run, after_args, after_kwargs)
    names = dict.fromkeys([*before, *after])
    return (
        new_args,
        new_kwargs,
        {name: [before.get(name), after.get(name)] for name in names if _differ(name, before, after)},
    )


def _differ(name: str, before: dict[str, Any], after: dict[str, Any]) -> bool:
    # As text: to Python 1 is True, and a NaN is not itself.
    return (name in before) != (name in after) or json.dumps(before[name]) != json.dumps(after[name])


def _require_fit(name: str, task: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
    check = getattr(task, "__header__", None)
    if check is None or not task.typing:
        return
    try:
        check(*args, **kwargs)
    except TypeError as error:
        raise WrongArguments(f"Task {name} does not take these arguments: {error}.") from None


def _named(run: Callable[..., Any] | None, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments by the names of their parameters, as far as those are known, else by their place."""
    names: list[str] = []
    if run is not None:
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        names = [p.name for p in inspect.signature(run).parameters.values() if p.kind in positional]
    places = {names[n] if n < len(names) else f"[{n}]": value for n, value in enumerate(args)}
    return {**places, **kwargs}
