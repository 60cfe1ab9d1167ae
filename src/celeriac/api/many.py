"""Asking for many jobs at once.

Most are of one task and differ in their arguments only: what such a call comes to is worked out for the first of them,
and is the example for the others.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, overload
from uuid import UUID

import celery
from celery.result import AsyncResult

from celeriac.api import payload
from celeriac.api.enqueue import enqueue
from celeriac.api.options import Asked, is_durable
from celeriac.ledger.ids import new_uuids
from celeriac.ledger.rows import NewJob

__all__ = ["Results", "enqueue_many"]


def enqueue_many(app: Any, signatures: Iterable[Any]) -> Sequence[AsyncResult]:
    """Do what `Celery.enqueue_many` says."""
    parent = app.current_worker_task
    asking = _Asking(app, parent)
    calls: list[Asked] = []
    others: dict[int, AsyncResult] = {}
    for index, signature in enumerate(signatures):
        if not isinstance(signature, Mapping) or signature.get("subtask_type"):
            raise TypeError(f"enqueue_many() takes signatures of single tasks (task.s(...)), not {signature!r}")
        asked = asking.ask(signature)
        if asked is None:
            others[index] = celery.signature(signature, app=app).apply_async(add_to_parent=False)
        else:
            calls.append(asked)
    ids = enqueue(calls) if calls else []
    results = Results(app, ids, [asked.ignore_result for asked in calls], others)
    if parent is not None:
        for result in results:
            parent.add_trail(result)
    return results


class Results(Sequence[AsyncResult]):
    """The results of calls, in their order, each made when somebody looks at it: of a million few are."""

    def __init__(
        self, app: Any, ids: Sequence[str], ignored: Sequence[bool | None], others: Mapping[int, AsyncResult]
    ) -> None:
        self._app = app
        self._ids = ids
        self._ignored = ignored
        self._others = others  # what is in no ledger, by index in all

    def __len__(self) -> int:
        return len(self._ids) + len(self._others)

    @overload
    def __getitem__(self, index: int) -> AsyncResult: ...
    @overload
    def __getitem__(self, index: slice) -> list[AsyncResult]: ...
    def __getitem__(self, index: int | slice) -> AsyncResult | list[AsyncResult]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        if at in self._others:
            return self._others[at]
        at -= sum(other < at for other in self._others)
        return self._made(at)

    def __iter__(self) -> Iterator[AsyncResult]:
        ours = map(self._made, range(len(self._ids)))
        for at in range(len(self)):
            yield self._others[at] if at in self._others else next(ours)

    def _made(self, at: int) -> AsyncResult:
        result: AsyncResult = self._app.answer(self._ids[at], self._ignored[at])
        return result


class _Example(NamedTuple):
    """What the calls of a task without options of their own have in common."""

    asked: Asked
    check: Callable[..., Any] | None  # of the arguments, as `apply_async` does
    run: Callable[..., Any] | None

    def ask(self, id_: UUID, args: Any, kwargs: Any) -> Asked:
        """Return a call like this one, with other arguments."""
        job = self.asked.job
        if self.check is not None:
            self.check(*args, **kwargs)
        packed_args, packed_kwargs = payload.encode_call(job.task, args, kwargs, self.run)
        job = NewJob._make((id_, job.task, job.queue, job.priority, packed_args, packed_kwargs, *job[6:]))
        return Asked._make((str(id_), job, *self.asked[2:]))


class _Asking:
    """From signatures to calls, with an example of each task where that will do."""

    def __init__(self, app: Any, parent: Any) -> None:
        self._app = app
        self._parent = parent
        self._eager = app.conf.task_always_eager
        self._ids = new_uuids()
        self._examples: dict[str, _Example] = {}

    def ask(self, signature: Mapping[str, Any]) -> Asked | None:
        """Return the call, or None for one that the ledger has no part in."""
        name, options = signature["task"], signature.get("options")
        if not options and (example := self._examples.get(name)) is not None:
            return example.ask(next(self._ids), signature["args"], signature["kwargs"])
        task, options = self._app.tasks.get(name), dict(options or {})
        plain = not options
        if not is_durable(task, options) or self._eager:
            return None
        check = task.__header__ if task is not None and task.typing else None
        if check is not None:
            check(*signature["args"], **signature["kwargs"])
        asked: Asked = self._app.ask(name, signature["args"], signature["kwargs"], task, options, self._parent)
        if plain and not self._varies(asked):
            self._examples[name] = _Example(asked, check, getattr(task, "run", None))
        return asked

    def _varies(self, asked: Asked) -> bool:
        """Whether another call may differ in more than its arguments: by its key, its route, the ids of its links."""
        linked = not asked.headers.keys().isdisjoint({"callbacks", "errbacks"})
        return not asked.job.plain or linked or bool(self._app.amqp.router.routes)
