"""Checks of the tasks that are registered by now; a worker, which knows them all, refuses to start on the same."""

from collections.abc import Sequence
from typing import Any

from celery import _state
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error

from celeriac.api.atomic import refusal
from celeriac.conf import read
from celeriac.errors import ConfigurationError

__all__ = ["check_tasks"]


def check_tasks(app_configs: Sequence[Any] | None = None, **_: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Return which tasks are atomic and cannot be, or the first that says something of itself that makes no sense."""
    if _state.default_app is None and _state._tls.current_app is None:  # noqa: SLF001
        return []  # to ask for the current app would make one, and be in the way of the project's own
    try:
        ledger = read(getattr(django_settings, "CELERIAC", {})).DATABASE
    except ConfigurationError:
        return []  # E001 says so
    try:
        tasks = _state.get_current_app().tasks.values()
    except ConfigurationError as error:  # Celery makes its tasks when they are asked for first, which is here
        return [Error(str(error), hint="docs/howto/retries.md, docs/howto/idempotency.md.", id="celeriac.E004")]
    refusals = [refusal(task, ledger) for task in tasks if getattr(task, "atomic", False)]
    return [
        Error(why, hint="docs/howto/adopt.md, 'Effects exactly once'.", id="celeriac.E003") for why in refusals if why
    ]
