"""CELERIAC = {...}: read once, refused early, with the remedy in the message."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from celeriac.conf import Settings, read, settings
from celeriac.errors import ConfigurationError, UnknownSetting

NAMES = [field.name for field in fields(Settings)]
NUMBERS = ["MAX_PAYLOAD_BYTES", "CLAIM_SECONDS", "HEARTBEAT_SECONDS", "MAX_LOSSES"]


def test_no_settings_are_the_defaults():
    assert read({}) == Settings()


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_can_be_given(name):
    others = {"DATABASE": "other", "SCHEDULES": False}
    value = timedelta(days=7) if name.endswith("RETENTION") else others.get(name, 7)
    assert getattr(read({name: value}), name) == value


def test_settings_do_not_change():
    with pytest.raises(FrozenInstanceError):
        Settings().DATABASE = "other"


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("DATABSE", "DATABASE"),
        ("database", "DATABASE"),
        ("CLAIM_SECOND", "CLAIM_SECONDS"),
        ("max_payload", "MAX_PAYLOAD_BYTES"),
    ],
)
def test_a_typo_is_answered_with_the_nearest_name(typo, meant):
    with pytest.raises(UnknownSetting, match=f"unknown setting '{typo}'. Did you mean '{meant}'"):
        read({typo: 1})


def test_a_name_near_nothing_is_answered_with_all_names():
    with pytest.raises(UnknownSetting) as raised:
        read({"ZZZ": 1})
    assert [name for name in NAMES if name not in str(raised.value)] == []


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, -1, "5", None, True, [1]])
def test_a_number_must_be_one_above_0(name, value):
    with pytest.raises(ConfigurationError, match=rf"CELERIAC\['{name}'\] must be a number above 0, not "):
        read({name: value})


@pytest.mark.parametrize("name", ["RETENTION", "DEAD_RETENTION"])
@pytest.mark.parametrize("value", [0, 7, "7 days", True, timedelta(), timedelta(days=-1)])
def test_a_retention_is_a_timedelta(name, value):
    with pytest.raises(ConfigurationError, match=rf"CELERIAC\['{name}'\] must be a timedelta above 0 or None, not "):
        read({name: value})


@pytest.mark.parametrize("value", [0, -0.5, "1", False])
def test_a_poll_is_a_number_above_0_or_none(value):
    assert read({"POLL_SECONDS": None}).POLL_SECONDS is None
    with pytest.raises(ConfigurationError, match="POLL_SECONDS"):
        read({"POLL_SECONDS": value})


def test_a_database_is_an_alias():
    with pytest.raises(ConfigurationError, match="must be a database alias, not 5"):
        read({"DATABASE": 5})


def test_django_knows_the_error_as_its_own():
    with pytest.raises(ImproperlyConfigured):
        read({"ZZZ": 1})


def test_override_settings_is_seen_and_ends():
    before = settings()
    with override_settings(CELERIAC={"MAX_LOSSES": 9}):
        assert settings().MAX_LOSSES == 9
        with override_settings(CELERIAC={"MAX_LOSSES": 10}):
            assert settings().MAX_LOSSES == 10
        assert settings().MAX_LOSSES == 9
    assert settings() == before


def test_other_settings_do_not_make_it_read_again():
    before = settings()
    with override_settings(DEBUG=True):
        assert settings() is before
