"""Whatever differs between the systems comes by the environment, which their workers inherit."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

SECRET_KEY = "bench"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = json.loads(os.environ["BENCH_DATABASES"])
INSTALLED_APPS = ["shop", *json.loads(os.environ["BENCH_APPS"])]
VALKEY = os.environ["BENCH_VALKEY"]


def _read(value: dict[str, Any]) -> Any:
    # JSON has no times.
    return timedelta(seconds=value["seconds"]) if value.keys() == {"seconds"} else value


globals().update(json.loads(os.environ.get("BENCH_SETTINGS", "{}"), object_hook=_read))
