"""The result of a call: Celery's, made in half as many steps."""

from functools import cached_property
from typing import Any

from celery import result
from celery.app import app_or_default
from vine import promise

__all__ = ["AsyncResult"]


class AsyncResult(result.AsyncResult):
    """Celery's result, whose promise of the end is made when somebody asks for it.

    Hardly anybody does; to make it and to throw it away is nine functions of each call, and what a call takes above its
    INSERT is counted in functions (docs/decisions/0025-what-a-call-costs.md).
    """

    app: Any

    def __init__(
        self,
        id: str,  # noqa: A002 - Celery's name
        backend: Any = None,
        task_name: str | None = None,  # noqa: ARG002 - Celery's signature
        app: Any = None,
        parent: Any = None,
    ) -> None:
        # In place of Celery's, which makes the promise: tests/api/test_result.py has the two set the same.
        if id is None:
            raise ValueError(f"AsyncResult requires valid id, not {type(id)}")
        self.app = app or self.app or app_or_default()
        self.id = id
        self.backend = backend or self.app.backend
        self.parent = parent
        self._cache = None
        self._ignored = False

    @cached_property
    def on_ready(self) -> promise:
        """What `then()` waits for."""
        return promise(self._on_fulfilled, weak=True)
