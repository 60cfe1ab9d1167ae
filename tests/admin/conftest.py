from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from tests.ledger_helpers import Ledger


@pytest.fixture(params=[pytest.param("default", id="postgresql"), pytest.param("lite", id="sqlite")])
def ledger(request, settings, db) -> Ledger:
    """The ledger on each database in turn; users and sessions are always in `default`."""
    settings.CELERIAC = {**settings.CELERIAC, "DATABASE": request.param}
    return Ledger(request.param)


def a_client(name: str, *permissions: str) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions, content_type__app_label="celeriac"))
    client = Client(REMOTE_ADDR="192.0.2.7")
    client.force_login(user)
    return client


@pytest.fixture
def nobody(db) -> Client:
    """On the staff, and may nothing."""
    return a_client("nobody")


@pytest.fixture
def viewer(db) -> Client:
    """May look."""
    return a_client("viewer", "view_job")


@pytest.fixture
def operator(db) -> Client:
    """May look and act."""
    return a_client("operator", "view_job", "operate_job")
