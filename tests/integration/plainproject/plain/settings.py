"""Settings of a project as Celery's own documentation has them."""

import json
import os

SECRET_KEY = "plain"
USE_TZ = True
INSTALLED_APPS = ["plain"]
DATABASES = json.loads(os.environ["PLAIN_DATABASES"])
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CELERY_BROKER_URL = os.environ["PLAIN_BROKER"]
CELERY_TASK_ROUTES = {"plain.tasks.shout": {"queue": "loud"}}
CELERY_TASK_TRACK_STARTED = True
