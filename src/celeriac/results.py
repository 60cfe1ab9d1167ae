"""Celery's result backend over the ledger: a job's row is its result.

While a job of this thread runs, the tracer's reports are kept on its `Run` and written by the one statement that
finishes it; nothing is stored twice, and nothing is stored for a run whose claim is stale. What is reported about any
other job (the rest of a failed chain, a task that lives on the broker) goes through the ledger's `settle`.
"""

import time
from typing import Any

from celery import states as celery_states
from celery.backends.base import BaseBackend
from celery.exceptions import ChordError, TaskRevokedError
from celery.exceptions import TimeoutError as CeleryTimeout
from celery.result import GroupResult, result_from_tuple
from django.utils import timezone

from celeriac.api import payload
from celeriac.api.builtins import CHORD_JOIN
from celeriac.api.context import current_run
from celeriac.api.enqueue import outside_loop
from celeriac.errors import PayloadError
from celeriac.ledger import bell, queries
from celeriac.ledger.database import alias_of
from celeriac.ledger.ids import job_id, new_id
from celeriac.ledger.models import Job, SavedGroup
from celeriac.ledger.rows import NewJob, Settlement
from celeriac.ledger.states import State, celery_state
from celeriac.ledger.verbs import insert_waiting, settle
from celeriac.outcomes import dotted, fingerprint

__all__ = ["LedgerBackend"]

#: Waiters look at most this often while many jobs end, so that one slow job does not cost a query per flush.
LOOK_SECONDS = 0.01

_END = {
    celery_states.SUCCESS: State.SUCCEEDED,
    celery_states.FAILURE: State.DEAD,
    celery_states.REVOKED: State.CANCELLED,
}


class LedgerBackend(BaseBackend):
    """Results from the ledger. `AsyncResult.get` wakes on the database's notification where there is one."""

    persistent = True

    def as_uri(self, include_password: bool = False) -> str:
        """Return what the worker's banner shows."""
        return f"ledger ({alias_of()})"

    # -- what the tracer reports

    def mark_as_done(
        self, task_id: str, result: Any, request: Any = None, store_result: bool = True, state: str = "SUCCESS"
    ) -> None:
        """Keep the result of a body that returned; encoding it here makes a failure to encode the task's failure."""
        run = current_run(task_id)
        if run is None:
            super().mark_as_done(task_id, result, request, store_result, state)
            return
        run.children = self._children(request)
        if run.again is None and (store_result or (request is not None and request.chord)):
            run.result = payload.encode_result(run.job.task, self.prepare_value(result))

    def encode(self, data: Any) -> str:
        """Encode with the ledger's own codec, so results come back exactly as they were."""
        return payload.encode(data)

    def decode(self, payload_text: Any) -> Any:
        """The inverse of `encode`."""
        return payload.decode(payload_text)

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **_: Any
    ) -> None:
        run = current_run(task_id)
        if run is not None:
            run.children = self._children(request)
            self._said(run, state, result)
        elif state in _END:
            self._settle(task_id, result, _END[state], traceback, request)

    def _said(self, run: Any, state: str, result: Any) -> None:
        if state in (celery_states.STARTED, celery_states.RETRY):
            return  # the row says so itself
        run.said = (state, payload.encode(result))
        # Inside an atomic body nobody could see it, and it would hold the row against those who rescue or cancel.
        if state not in _END and not run.atomic:
            row = Job.objects.using(alias_of()).filter(id=run.job.id, claim_no=run.job.claim_no, state=State.RUNNING)
            progress = payload.encode({"state": state, "meta": result})
            outside_loop(lambda: row.update(progress=progress))

    def _settle(self, task_id: str, result: Any, state: State, traceback: Any, request: Any) -> None:
        encoded = payload.encode(result)
        succeeded = state == State.SUCCEEDED
        name = getattr(request, "task", None) or getattr(request, "name", None) or "unknown"
        settlement = Settlement(
            id=job_id(task_id),
            state=state,
            reason="" if succeeded else "revoked" if state == State.CANCELLED else "upstream",
            result=encoded if succeeded else None,
            error=None if succeeded else encoded,
            children=self._children(request),
            traceback="" if succeeded else str(traceback or ""),
            task=str(name),
            headers=payload.encode({"id": task_id}) if str(job_id(task_id)) != task_id else "{}",
        )
        if state == State.DEAD:
            exception, message = _cause(result)
            print_ = fingerprint(exception, message, settlement.traceback, settlement.task)
            settlement = settlement._replace(exception=exception[:255], fingerprint=print_, **self._own_end(request))
        settled = outside_loop(settle, [settlement])
        bell.ring_on_commit(settled.freed)
        if settled.ids:
            bell.ring_done()

    def _own_end(self, request: Any) -> dict[str, Any]:
        """Return what a dead letter needs of a task that ran on the broker: it failed by itself, and had arguments.

        Who only follows one that failed has not run, and Celery gives it a request without a host.
        """
        if not getattr(request, "hostname", None):
            return {}
        queue = (request.delivery_info or {}).get("routing_key")
        try:
            args, kwargs = payload.encode_call(str(request.task), request.args or (), request.kwargs or {})
        except PayloadError:
            return {"reason": "undecodable", "queue": str(queue or "")}  # none that a row could keep
        return {"reason": "failed", "queue": str(queue or ""), "args": args, "kwargs": kwargs}

    def _children(self, request: Any) -> str | None:
        children = [child.as_tuple() for child in getattr(request, "children", None) or ()]
        return payload.encode(children) if children else None

    # -- what callers ask

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        job: Job | None = outside_loop(queries.find, job_id(task_id))
        if job is None:
            return {"status": celery_states.PENDING, "result": None, "traceback": None, "children": []}
        status = celery_state(job.state, job.attempt)
        result: Any = payload.decode(job.result) if job.result is not None else None
        if job.state == State.RUNNING and job.progress is not None:
            said = payload.decode(job.progress)
            status, result = said["state"], said["meta"]
        elif job.error is not None and status in self.EXCEPTION_STATES:
            result = payload.decode(job.error)
        elif status == celery_states.REVOKED:
            result = TaskRevokedError(job.reason)
        failed = status in self.EXCEPTION_STATES
        meta: dict[str, Any] = self.meta_from_decoded(
            {
                "task_id": task_id,
                "status": status,
                "result": result,
                "traceback": outside_loop(queries.traceback_of, job.id) if failed else None,
                "children": payload.decode(job.children) if job.children else [],
                "date_done": job.finished_at,
                "name": job.task,
                "args": payload.decode(job.args),
                "kwargs": payload.decode(job.kwargs),
                "retries": job.attempt,
                "queue": job.queue,
                "worker": str(job.worker) if job.worker else None,
            }
        )
        return meta

    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_interval: Any = None,
    ) -> dict[str, Any]:
        """Return the job's meta once it has ended.

        Raises:
            celery.exceptions.TimeoutError: after *timeout* seconds.
        """
        self._ensure_not_eager()
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            mark = bell.end_mark()
            looked = time.monotonic()
            meta: dict[str, Any] = self.get_task_meta(task_id)
            if meta["status"] in celery_states.READY_STATES:
                return meta
            if on_interval:
                on_interval()
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise CeleryTimeout("The operation timed out.")
            bell.wait_for_end(left, mark)
            time.sleep(max(0.0, looked + LOOK_SECONDS - time.monotonic()))

    def _forget(self, task_id: str) -> None:
        """Drop the result. A dead job keeps its row: dead letters go only by an operator's word."""
        jobs = Job.objects.using(alias_of()).filter(id=job_id(task_id))
        outside_loop(lambda: jobs.filter(state__in=[State.SUCCEEDED, State.CANCELLED]).delete())

    # -- groups and chords

    def _save_group(self, group_id: str, result: GroupResult) -> GroupResult:
        kept = {"result": payload.encode(result.as_tuple()), "created_at": timezone.now()}
        groups = SavedGroup.objects.using(alias_of())
        outside_loop(lambda: groups.update_or_create(id=group_id, defaults=kept))
        return result

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        groups = SavedGroup.objects.using(alias_of())
        saved = outside_loop(lambda: groups.filter(id=group_id).first())
        if saved is None:
            return None
        return {"task_id": group_id, "result": result_from_tuple(payload.decode(saved.result), app=self.app)}

    def _delete_group(self, group_id: str) -> None:
        groups = SavedGroup.objects.using(alias_of())
        outside_loop(lambda: groups.filter(id=group_id).delete())

    def apply_chord(self, header_result_args: Any, body: Any, **_: Any) -> None:
        """Insert the job that runs the body once every header has ended, before any header exists."""
        header = self.app.GroupResult(*header_result_args)
        leaves = [result.id for result in _leaves(header)]
        join = self.app.tasks[CHORD_JOIN]
        options = body.options
        job = NewJob(
            # One join a group: applying the same frozen chord again changes nothing.
            id=job_id(f"{CHORD_JOIN}:{header.id}:{options.get('task_id') or new_id()}"),
            task=join.name,
            queue=self._queue_of(body),
            priority=options.get("priority") or 0,
            args=payload.encode_call(join.name, (body, leaves), {})[0],
            headers=payload.encode({"ignore_result": True, "root_id": options.get("root_id")}),
        )
        outside_loop(insert_waiting, job, [job_id(leaf) for leaf in leaves])

    def _queue_of(self, body: Any) -> str:
        routed = self.app.amqp.router.route({"queue": body.options.get("queue")}, body.task, (), {})
        return str(getattr(routed["queue"], "name", routed["queue"]))

    def on_chord_part_return(self, request: Any, state: str, result: Any, **_: Any) -> None:
        """Nothing: the statement that ends a header counts the chord down."""

    def add_to_chord(self, chord_id: str, result: Any) -> None:
        raise NotImplementedError("A chord in the ledger cannot grow while it runs yet.")

    def join_chord(self, body: Any, header_ids: list[str]) -> None:
        """Run a chord's body with the results of its headers, or fail it if one of them did not succeed."""
        body = self.app.signature(body)
        results = []
        for header_id in header_ids:
            meta = self.get_task_meta(header_id, cache=False)
            if meta["status"] != celery_states.SUCCESS:
                cause = meta["result"]
                error = ChordError(f"Dependency {header_id} raised {cause!r}")
                error.__cause__ = cause if isinstance(cause, BaseException) else None
                try:
                    raise error
                except ChordError:  # Celery reads the traceback from the exception being handled
                    self.chord_error_from_stack(body, error)
                return
            results.append(meta["result"])
        body.apply_async((results,))


def _cause(error: Any) -> tuple[str, str]:
    """Return the dotted name and the text of an exception, as one or as Celery's backends keep it."""
    if isinstance(error, BaseException):
        return dotted(type(error)), str(error)
    if not isinstance(error, dict) or "exc_type" not in error:
        return "", str(error)
    module, args = error.get("exc_module"), error.get("exc_message")
    name = error["exc_type"] if module in (None, "builtins") else f"{module}.{error['exc_type']}"
    return str(name), " ".join(map(str, args)) if isinstance(args, list | tuple) else str(args)


def _leaves(group: GroupResult) -> list[Any]:
    """Return the results a chord waits for: those of its header's tasks, nested groups unfolded, in order."""
    leaves: list[Any] = []
    for result in group.results:
        leaves.extend(_leaves(result) if isinstance(result, GroupResult) else [result])
    return leaves
