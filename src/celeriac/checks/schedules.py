"""Checks of the schedules that code names; those of tables are judged where they are listed. No database is touched."""

from collections.abc import Sequence
from typing import Any

from celery import _state
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name

from celeriac.errors import ConfigurationError
from celeriac.schedules.definition import Definition
from celeriac.schedules.sources import in_code

__all__ = ["check_schedules"]

HINT = "docs/howto/schedules.md."


def check_schedules(app_configs: Sequence[Any] | None = None, **_: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Return which schedules can never fire, and which may not do what they seem to."""
    if _state.default_app is None and _state._tls.current_app is None:  # noqa: SLF001
        return []  # to ask for the current app would make one, and be in the way of the project's own
    app = _state.get_current_app()
    if _looking:
        return []  # importing tasks runs the checks, this one too
    knows_all = not app.conf.beat_schedule or _imported(app)
    try:
        found = in_code(app)
    except ConfigurationError:
        return []  # E004 says so
    return [_message(one) for one in found if one.is_broken or (one.trouble and knows_all)]


_looking: list[Any] = []


def _imported(app: Any) -> bool:
    """Import what `autodiscover_tasks` promised, as a worker does when it starts and a manage.py does not."""
    _looking.append(app)
    try:
        app.loader.import_default_modules()
    except Exception:  # noqa: BLE001 - of the project's own modules; a worker will say so, `migrate` need not fail of it
        return False
    finally:
        _looking.pop()
    return True


def _message(one: Definition) -> CheckMessage:
    text = f"Schedule {one.name}: {one.trouble}"
    if one.is_broken:
        return Error(text, hint=HINT, id="celeriac.E005")
    return Warning(text, hint=HINT, id="celeriac.W002")
