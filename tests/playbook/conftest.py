"""Workers as for the integration tests, and the servers that the playbook's tasks talk to."""

from __future__ import annotations

import pytest

from tests.integration.conftest import *  # noqa: F403 - the same fixtures and hook
from tests.playbook.stripe_server import StripeServer


@pytest.fixture(scope="module")
def stripe_server():
    server = StripeServer()
    yield server
    server.close()
