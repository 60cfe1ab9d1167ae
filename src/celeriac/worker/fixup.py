"""Celery's Django fixup, for workers whose claims look after the connections themselves.

Stock, it closes every connection and cache before and after each task. For a job that would cut an atomic task's
transaction, and costs a connect a job; see `connections`. Tasks that came by the broker are treated as ever.
"""

import os
from typing import Any

from celery.fixups.django import DjangoFixup, DjangoWorkerFixup

from celeriac.api.context import current_run

__all__ = ["fixup"]


def fixup(app: Any, env: str = "DJANGO_SETTINGS_MODULE") -> "Fixup | None":
    """Install the fixup if Django's settings module is named in the environment, as Celery's own does."""
    if os.environ.get(env) and "django" not in app.loader_cls.lower():
        fixed = Fixup(app)
        fixed.install()
        return fixed
    return None


class Fixup(DjangoFixup):
    """Celery's, with our part in workers."""

    _worker_fixup: DjangoWorkerFixup | None

    @property
    def worker_fixup(self) -> DjangoWorkerFixup:
        """Made when first asked for: it reads the app's configuration."""
        if self._worker_fixup is None:
            self._worker_fixup = WorkerFixup(self.app)
        return self._worker_fixup

    @worker_fixup.setter
    def worker_fixup(self, value: DjangoWorkerFixup) -> None:
        self._worker_fixup = value


class WorkerFixup(DjangoWorkerFixup):
    """Leaves the connections of jobs alone."""

    def on_task_prerun(self, sender: Any, **kwargs: Any) -> None:
        if current_run() is None:
            super().on_task_prerun(sender, **kwargs)

    def on_task_postrun(self, sender: Any, **kwargs: Any) -> None:
        if current_run() is None:
            super().on_task_postrun(sender, **kwargs)
