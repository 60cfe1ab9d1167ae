"""Adoption: tasks that reach this worker by the broker, from a producer without Celeriac, become jobs.

Insert by id, then ack: a redelivered message inserts nothing. A task nobody here knows is parked, a message nobody can
read is kept as a dead job with its raw bytes; neither vanishes. Tasks with `durable=False` run as in stock Celery.
"""

import base64
import logging
from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.strategy import default as stock_strategy
from celery.worker.strategy import hybrid_to_proto2, proto1_to_proto2
from kombu.message import Message

from celeriac.api import payload
from celeriac.api.enqueue import put
from celeriac.api.options import Asked, ask
from celeriac.ledger import bell
from celeriac.ledger.ids import job_id, new_id
from celeriac.ledger.rows import Settlement
from celeriac.ledger.verbs import UNREGISTERED, settle
from celeriac.loops import insist
from celeriac.outcomes import dotted, fingerprint
from celeriac.worker.attentive import Attentive
from celeriac.worker.story import error_json

__all__ = ["Consumer", "strategy"]

logger = logging.getLogger("celeriac")

SERVICE = "celeriac adoption"


def strategy(task: Any, app: Any, consumer: Any) -> Callable[..., Any]:
    """Return the handler of messages for *task*: adoption, or stock Celery's where the call is not durable."""
    stock: Callable[..., Any] = stock_strategy(task, app, consumer)
    if not getattr(task, "durable", True):
        return stock

    def handle(message: Message, body: Any, ack: Any, reject: Any, callbacks: Any, **kwargs: Any) -> Any:
        marked = (message.headers or {}).get("celeriac") or {}
        if marked.get("durable") is False:
            return stock(message, body, ack, reject, callbacks, **kwargs)
        return consumer.adopt(message)

    return handle


class Consumer(CeleryConsumer):
    """Celery's consumer, which loses nothing it cannot run."""

    def loop_args(self) -> Any:
        """Return what Celery's loop takes, with a connection that notices a shutdown."""
        consumer, connection, *rest = super().loop_args()
        return (consumer, Attentive(connection), *rest)

    def adopt(self, message: Message, reason: str = "") -> None:
        """Insert *message* as a job, then ack it; keep it as a dead job if it cannot be read."""
        try:
            asked = self._asked_of(message)
            job = asked.job._replace(reason=reason or asked.job.reason)
            # Nobody is there whom a conflict could be told.
            asked = asked._replace(job=job, terms=asked.terms and asked.terms.mild())
        except Exception as error:  # whatever is wrong with it, it must not vanish and must not stop the worker
            self.keep_unreadable(message, error)
            return
        insist(SERVICE, lambda: put(asked))  # the message stays unacked on the broker meanwhile
        _ack(message, self.connection_errors)
        bell.ring_ready([job.queue])

    def _asked_of(self, message: Message) -> Asked:
        decoded = message.payload
        headers = dict(message.headers or {})
        if "task" not in headers:
            (args, kwargs, embedded), headers, _, _ = proto1_to_proto2(message, decoded)
        elif isinstance(decoded, dict) and "args" in decoded:
            (args, kwargs, embedded), headers, _, _ = hybrid_to_proto2(message, decoded)
        else:
            args, kwargs, embedded = decoded
        info, properties = message.delivery_info or {}, message.properties or {}
        hard, soft = headers.get("timelimit") or (None, None)
        options = {
            **{key: headers.get(key) for key in _SAME},
            "task_id": headers["id"],
            "group_id": headers.get("group"),
            "queue": self._queue_of(info),
            "time_limit": hard,
            "soft_time_limit": soft,
            "reply_to": properties.get("reply_to"),
            "link": embedded.get("callbacks"),
            "link_error": embedded.get("errbacks"),
            "chain": embedded.get("chain"),
            "chord": embedded.get("chord"),
            **(headers.get("stamps") or {}),
            "priority": self._priority_of(properties),
            "headers": {key: value for key, value in headers.items() if key not in _KNOWN},
        }
        task = self.app.tasks.get(headers["task"])
        return ask(self.app, headers["task"], args, kwargs, task, options)

    def _priority_of(self, properties: dict[str, Any]) -> int | None:
        # Only AMQP brokers count as we do; elsewhere an unset priority looks like the most urgent one.
        priority = properties.get("priority")
        amqp = self.connection is not None and self.connection.transport.driver_type == "amqp"
        return min(9, max(0, priority)) if amqp and isinstance(priority, int) else None

    def _queue_of(self, info: dict[str, Any]) -> str:
        key = str(info.get("routing_key") or "")
        return key if key in self.app.amqp.queues else str(self.app.conf.task_default_queue)

    def keep_unreadable(self, message: Message, error: BaseException) -> None:
        """Keep a message that cannot be a job as a dead job, with its raw bytes, then ack it."""
        headers = message.headers if isinstance(message.headers, dict) else {}
        task_id = str(headers.get("id") or new_id())
        body = message.body
        raw = bytes(body) if isinstance(body, bytes | bytearray | memoryview) else str(body).encode()
        kept = {
            "id": task_id,
            "raw": base64.b64encode(raw).decode("ascii"),
            "content_type": str(message.content_type),
            "content_encoding": str(message.content_encoding),
            "message_headers": repr(headers)[:2000],
        }
        settlement = Settlement(
            id=job_id(task_id),
            state="dead",
            reason="undecodable",
            error=error_json(error),
            traceback=f"{type(error).__name__}: {error}",
            task=str(headers.get("task") or "unknown")[:255],
            queue=self._queue_of(message.delivery_info or {}),
            headers=payload.encode(kept),
            exception=dotted(type(error)),
        )
        print_ = fingerprint(settlement.exception, str(error), settlement.traceback, settlement.task)
        settlement = settlement._replace(fingerprint=print_)
        insist(SERVICE, lambda: settle([settlement]))
        _ack(message, self.connection_errors)
        logger.error("A message that cannot be read was kept as dead job %s: %s", task_id, error)

    # -- what Celery's consumer would log and drop

    def on_unknown_task(self, body: Any, message: Message, exc: BaseException) -> None:
        """Park the job until some worker has registered its task."""
        self.adopt(message, reason=UNREGISTERED)

    def on_decode_error(self, message: Message, exc: BaseException) -> None:
        """Keep the message as a dead job."""
        self.keep_unreadable(message, exc)

    def on_invalid_task(self, body: Any, message: Message, exc: BaseException) -> None:
        """Keep the message as a dead job."""
        self.keep_unreadable(message, exc)

    def on_unknown_message(self, body: Any, message: Message) -> None:
        """Keep the message as a dead job."""
        self.keep_unreadable(message, ValueError("The message is not a task"))


def _ack(message: Any, connection_errors: Any) -> None:
    message.ack_log_error(logger, connection_errors)


_SAME = (
    *("eta", "expires", "retries", "root_id", "parent_id", "group_index", "shadow", "argsrepr", "kwargsrepr"),
    *("origin", "ignore_result", "replaced_task_nesting", "stamped_headers"),
)
_KNOWN = frozenset({*_SAME, "lang", "task", "id", "group", "timelimit", "stamps", "compression", "headers", "utc"})
_KNOWN |= {"args", "kwargs", "callbacks", "errbacks", "chord", "chain", "taskset", "meth"}
