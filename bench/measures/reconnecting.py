"""The realistic drain with CONN_MAX_AGE=0, Django's own default: connections end when Django's rules are applied.

Where nothing applies them to a job (no signal of a request, no `close_old_connections()`), the connection stays open
and this is `realistic` once more: *connections* tells the two apart.
"""

from __future__ import annotations

import json
import os
from typing import Any
from unittest import mock

from measures import realistic

FIGURES = realistic.FIGURES


def run(stand: Any) -> dict[str, float]:
    databases = json.loads(os.environ["BENCH_DATABASES"])
    ageing = {alias: {**settings, "CONN_MAX_AGE": 0} for alias, settings in databases.items()}
    # The worker inherits it. The producer, which is not measured here, has read its settings already.
    with mock.patch.dict(os.environ, BENCH_DATABASES=json.dumps(ageing)):
        return realistic.run(stand)
