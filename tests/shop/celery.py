"""The app that the tests' workers run, made as a project makes it."""

from __future__ import annotations

import os

from celeriac import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
