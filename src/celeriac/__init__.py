"""Celeriac: durable jobs for Django and Celery. The job is a row, the database is the queue, Celery is the engine.

from celeriac import Celery     # was: from celery import Celery
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celeriac.api.app import Celery as Celery
    from celeriac.api.endings import Cancel as Cancel
    from celeriac.api.endings import Snooze as Snooze
    from celeriac.api.task import Task as Task
    from celeriac.errors import InDoubt as InDoubt
    from celeriac.outcomes import Policy as Policy
    from celeriac.schedules.recurring import Recurring as Recurring

__version__ = "0.1.0"

__all__ = ["Cancel", "Celery", "InDoubt", "Policy", "Recurring", "Snooze", "Task", "__version__"]

_HOMES = {
    "Cancel": "celeriac.api.endings",
    "Celery": "celeriac.api.app",
    "InDoubt": "celeriac.errors",
    "Policy": "celeriac.outcomes",
    "Recurring": "celeriac.schedules.recurring",
    "Snooze": "celeriac.api.endings",
    "Task": "celeriac.api.task",
}


def __getattr__(name: str) -> Any:
    # Late, so that INSTALLED_APPS can import the package before Celery and the settings are there.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'celeriac' has no attribute {name!r}")
