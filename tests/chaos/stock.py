"""The app of the workers of the other column."""

from __future__ import annotations

import os

from celery import Celery

from tests.chaos.sleeping import mend

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.chaos.settings")

mend()

app = Celery("chaos")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["tests.chaos"])
