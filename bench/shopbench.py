"""The project that `engine.py` measures: a Celery app over one PostgreSQL, no broker."""

from __future__ import annotations

import json
import os
import time

import django
from django.conf import settings

if not settings.configured:
    settings.configure(
        DATABASES={"default": json.loads(os.environ["BENCH_DATABASE"])},
        INSTALLED_APPS=json.loads(os.environ.get("BENCH_APPS", '["celeriac"]')),
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()

from celeriac import Celery

app = Celery("shopbench")


@app.task
def noop(value):
    return value


@app.task
def stamp(asked):
    return time.time() - asked
