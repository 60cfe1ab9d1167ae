"""Checks of CELERIAC and of the ledger's database settings; they touch no database."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name
from django.db import DEFAULT_DB_ALIAS

from celeriac.conf import read
from celeriac.errors import ConfigurationError

__all__ = ["check_settings"]


def check_settings(app_configs: Sequence[Any] | None = None, **_: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Return what is wrong with CELERIAC in the settings."""
    try:
        found = read(getattr(django_settings, "CELERIAC", {}))
    except ConfigurationError as error:
        return [Error(str(error), hint="docs/settings.md lists every setting.", id="celeriac.E001")]
    database: dict[str, Any] | None = django_settings.DATABASES.get(found.DATABASE)
    if database is None:
        known = ", ".join(sorted(django_settings.DATABASES)) or DEFAULT_DB_ALIAS
        return [
            Error(
                f"CELERIAC['DATABASE'] is {found.DATABASE!r}, which is not in DATABASES.",
                hint=f"Name the alias whose database shall hold the jobs: {known}.",
                id="celeriac.E002",
            )
        ]
    if database["ENGINE"].endswith("sqlite3") and database.get("OPTIONS", {}).get("transaction_mode") != "IMMEDIATE":
        return [
            Warning(
                "The ledger is on SQLite, and its transactions do not begin IMMEDIATE: one that reads, then enqueues "
                "fails with 'database is locked' when a worker wrote in between.",
                hint='OPTIONS = {"transaction_mode": "IMMEDIATE", "timeout": 20, '
                '"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"}',
                id="celeriac.W001",
            )
        ]
    return []
