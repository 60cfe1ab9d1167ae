"""The app of the workers that are under test."""

from __future__ import annotations

import os

from celeriac import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.chaos.settings")

app = Celery("chaos")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["tests.chaos"])
