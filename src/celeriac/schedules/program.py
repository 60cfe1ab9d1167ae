"""The beat program. It is imported before Django is set up, and so without models."""

import logging
from typing import Any

from celery import beat
from celery.apps.beat import Beat as CeleryBeat

__all__ = ["SCHEDULER", "Beat", "chosen", "taken_over"]

logger = logging.getLogger("celeriac")

SCHEDULER = "celeriac.schedules.beat:Scheduler"

#: Celery's own, and django-celery-beat's by its path and by the alias its package installs.
_REPLACED = {"celery.beat:PersistentScheduler", "celery.beat.PersistentScheduler", "django"}


def taken_over(named: Any) -> bool:
    """Whether the scheduler that a project or a command names is one whose schedules are Celeriac's now."""
    if not isinstance(named, str):
        return named is beat.PersistentScheduler
    return named in _REPLACED or named.startswith("django_celery_beat")


def chosen(named: Any) -> Any:
    """Return the scheduler to use where *named* is configured: ours, unless it is a project's own."""
    if not taken_over(named):
        return named
    if "django" in str(named):
        logger.warning("The schedules of django-celery-beat are fired by Celeriac: %s.", SCHEDULER)
    return SCHEDULER


class Beat(CeleryBeat):
    """Celery's beat program; it leaves the scheduler of a project that has chosen another alone."""

    scheduler_cls: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scheduler_cls = chosen(self.scheduler_cls)
