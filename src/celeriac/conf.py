"""Every setting Celeriac reads: `CELERIAC = {...}` in Django's settings, once, into a frozen value."""

import difflib
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from celeriac.errors import ConfigurationError, UnknownSetting

__all__ = ["Settings", "settings"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Celeriac's settings. Times are seconds, sizes are bytes."""

    #: The alias in DATABASES whose database is the ledger. Enqueueing joins a transaction open on this alias.
    DATABASE: str = "default"

    #: Arguments or results larger than this are refused: a big payload belongs in a file or a row, its id in the job.
    MAX_PAYLOAD_BYTES: int = 256 * 1024

    #: How long a worker waits without a ring before it looks. None: 1 s where the database can notify, else 0.1 s.
    POLL_SECONDS: float | None = None

    #: A claim is as many jobs as a slot is expected to run in this time; a job slower than this loses its claim-mates
    #: to other workers. Longer is faster for tiny jobs and less fair.
    CLAIM_SECONDS: float = 0.1

    #: How often a worker renews its presence.
    HEARTBEAT_SECONDS: float = 2.0

    #: The hard time limit of a job for which neither the call, its task nor Celery's settings name one. None: no limit.
    DEFAULT_TIME_LIMIT: float | None = None

    #: How long a worker that is to stop lets running jobs go on before it interrupts them and gives them back.
    #: Less than what sends the SIGKILL after the SIGTERM waits: Kubernetes 30 s, systemd 90 s.
    DRAIN_SECONDS: float = 25.0

    #: A job whose process died this many times while running it is dead: one poison pill must not stop a fleet.
    MAX_LOSSES: int = 3

    #: How long jobs that succeeded or were cancelled are kept. None: for ever.
    RETENTION: timedelta | None = None

    #: How long dead jobs are kept. None: nothing but a person's word takes them away.
    DEAD_RETENTION: timedelta | None = None

    #: Whether workers fire schedules. Where they do not, nothing does but `celery beat`.
    SCHEDULES: bool = True

    #: How long the history of ticks is kept. None: for ever.
    TICK_RETENTION: timedelta | None = timedelta(days=30)

    def __post_init__(self) -> None:
        for name in ("MAX_PAYLOAD_BYTES", "CLAIM_SECONDS", "HEARTBEAT_SECONDS", "DRAIN_SECONDS", "MAX_LOSSES"):
            if not _positive(getattr(self, name)):
                raise ConfigurationError(f"CELERIAC[{name!r}] must be a number above 0, not {getattr(self, name)!r}.")
        for name in ("MAX_PAYLOAD_BYTES", "MAX_LOSSES"):
            if not isinstance(getattr(self, name), int):
                raise ConfigurationError(f"CELERIAC[{name!r}] must be a whole number, not {getattr(self, name)!r}.")
        for name in ("POLL_SECONDS", "DEFAULT_TIME_LIMIT"):
            value = getattr(self, name)
            if value is not None and not _positive(value):
                raise ConfigurationError(f"CELERIAC[{name!r}] must be a number above 0 or None, not {value!r}.")
        for name in ("RETENTION", "DEAD_RETENTION", "TICK_RETENTION"):
            age = getattr(self, name)
            if age is not None and not (isinstance(age, timedelta) and age > timedelta()):
                raise ConfigurationError(f"CELERIAC[{name!r}] must be a timedelta above 0 or None, not {age!r}.")
        if not isinstance(self.SCHEDULES, bool):
            raise ConfigurationError(f"CELERIAC['SCHEDULES'] must be True or False, not {self.SCHEDULES!r}.")
        if not isinstance(self.DATABASE, str):
            raise ConfigurationError(f"CELERIAC['DATABASE'] must be a database alias, not {self.DATABASE!r}.")


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def read(given: dict[str, Any]) -> Settings:
    """Return *given* as `Settings`.

    Raises:
        UnknownSetting: for a name that is not a setting; the message suggests the nearest one.
        ConfigurationError: for a value of the wrong kind.
    """
    if not isinstance(given, dict):
        raise ConfigurationError(f"CELERIAC must be a dict of settings, not {given!r}.")
    known = [field.name for field in fields(Settings)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name).upper(), known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Known settings: {', '.join(known)}."
            raise UnknownSetting(f"CELERIAC holds the unknown setting {name!r}.{hint}")
    return Settings(**given)


@cache
def settings() -> Settings:
    """Return the project's settings, read at the first call."""
    return read(getattr(django_settings, "CELERIAC", {}))


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "CELERIAC":
        settings.cache_clear()


setting_changed.connect(_forget)
