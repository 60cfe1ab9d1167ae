"""Whatever differs between the systems comes by the environment, which their workers inherit."""

from __future__ import annotations

import json
import os

SECRET_KEY = "bench"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = json.loads(os.environ["BENCH_DATABASES"])
INSTALLED_APPS = ["shop", *json.loads(os.environ["BENCH_APPS"])]
VALKEY = os.environ["BENCH_VALKEY"]
globals().update(json.loads(os.environ.get("BENCH_SETTINGS", "{}")))
