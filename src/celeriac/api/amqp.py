"""Celery's AMQP object, where the tracer sends callbacks from: a body that succeeded must not lose its next step."""

import time
from collections.abc import Callable
from typing import Any

from celery.app.amqp import AMQP as CeleryAMQP  # noqa: N811
from django.db import connections

from celeriac.ledger.database import connection_of
from celeriac.loops import Backoff, is_outage

__all__ = ["AMQP"]


class AMQP(CeleryAMQP):
    """Waits out an outage of the ledger when a callback or a chain's next step is inserted after a body's success."""

    def _retry_publish(self, publish: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        backoff = Backoff("celeriac callback")
        while True:
            try:
                sent = super()._retry_publish(publish, *args, **kwargs)
            except Exception as error:
                # Inside a transaction (atomic=True) the connection cannot be replaced; the run fails as a whole.
                if not is_outage(error) or connection_of().in_atomic_block:
                    raise
                connections.close_all()
                time.sleep(backoff.failed(error))
            else:
                backoff.recovered()
                return sent
