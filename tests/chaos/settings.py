"""The project that the workers of a scenario run; what varies comes from the environment."""

from __future__ import annotations

import json
import os

CHAOS_PEER = os.environ["CHAOS_PEER"]
CHAOS_WITNESS = os.environ["CHAOS_WITNESS"]
CHAOS_VISIBILITY_TIMEOUT = 20

DATABASES = {"default": json.loads(os.environ["CHAOS_DATABASE"])}
INSTALLED_APPS = ["celeriac"] if CHAOS_PEER == "celeriac" else ["django_celery_results"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "of the chaos"
USE_TZ = True
TIME_ZONE = "UTC"

CELERIAC = json.loads(os.environ.get("CHAOS_SETTINGS", "{}"))

#: So many schedules that are due each second; who starts late makes up for all.
SCHEDULES = int(os.environ.get("CHAOS_SCHEDULES", "0"))
if SCHEDULES:
    from celeriac import Recurring

    CELERY_BEAT_SCHEDULE = {
        f"s{index}": {
            "task": "tests.chaos.tasks.tick",
            "schedule": Recurring(1.0, misfire="all") if CHAOS_PEER == "celeriac" else 1.0,
            "args": (index,),
        }
        for index in range(SCHEDULES)
    }

CELERY_BROKER_URL = os.environ["CHAOS_BROKER"]
if CHAOS_PEER == "celery":
    # What Celery's documentation and its common production guides recommend for work that must not be lost.
    CELERY_RESULT_BACKEND = "django-db"
    CELERY_TASK_ACKS_LATE = True
    CELERY_TASK_REJECT_ON_WORKER_LOST = True
    CELERY_WORKER_PREFETCH_MULTIPLIER = 1
    CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
    # The default is an hour: what a killed worker held comes back after it. A scenario cannot wait that long.
    CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": CHAOS_VISIBILITY_TIMEOUT}
