from __future__ import annotations

import pytest
from django.core.checks import run_checks

from celeriac.checks import check_settings

SQLITE = {"ENGINE": "django.db.backends.sqlite3"}


def ids():
    return [message.id for message in check_settings()]


@pytest.mark.parametrize(
    ("celeriac", "expected"),
    [
        ({"DATABSE": "default"}, ["celeriac.E001"]),
        ({"MAX_LOSSES": 0}, ["celeriac.E001"]),
        ({"DATABASE": "nowhere"}, ["celeriac.E002"]),
        ({}, []),
    ],
)
def test_a_setting_is_checked(settings, celeriac, expected):
    settings.CELERIAC = celeriac
    assert ids() == expected


@pytest.mark.parametrize(
    ("options", "expected"), [({}, ["celeriac.W001"]), ({"OPTIONS": {"transaction_mode": "IMMEDIATE"}}, [])]
)
def test_sqlite_is_told_how_to_begin(settings, monkeypatch, options, expected):
    monkeypatch.setitem(settings.DATABASES, "default", SQLITE | options)
    assert ids() == expected


def test_an_error_names_the_remedy(settings):
    settings.CELERIAC = {"DATABSE": "default"}
    [error] = check_settings()
    assert "Did you mean 'DATABASE'?" in error.msg


def test_manage_py_check_runs_them(settings):
    settings.CELERIAC = {"DATABASE": "nowhere"}
    assert "celeriac.E002" in [message.id for message in run_checks()]
