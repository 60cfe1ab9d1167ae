"""Celery's AMQP object, where the tracer sends callbacks from: a body that succeeded must not lose its next step."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

from celery.app.amqp import AMQP as CeleryAMQP  # noqa: N811

from celeriac.ledger.database import connection_of
from celeriac.loops import insist

__all__ = ["AMQP"]


class AMQP(CeleryAMQP):
    """Waits out an outage of the ledger when a callback or a chain's next step is inserted after a body's success."""

    @cached_property
    def router(self) -> Any:
        """Celery's own, found without a call as `Celery.amqp` is."""
        return self.Router()

    def _retry_publish(self, publish: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        send = partial(super()._retry_publish, publish, *args, **kwargs)
        # Inside a transaction (atomic=True) the connection cannot be replaced; the run fails as a whole.
        return send() if connection_of().in_atomic_block else insist("celeriac callback", send)
