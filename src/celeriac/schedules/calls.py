"""From a tick to the call that it makes, as `celery beat` would make it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from celeriac.api import payload
from celeriac.api.options import Asked, is_durable
from celeriac.schedules.plan import Plan
from celeriac.schedules.policies import delay_of
from celeriac.schedules.sources import lazy_arguments

__all__ = ["Call", "call_of"]

#: The lane of a schedule whose jobs run one after the other.
LANE = "schedule:"


class Call(NamedTuple):
    """A call, ready to be asked for; without *asked* it is left to the broker."""

    key: tuple[str, datetime]
    app: Any
    name: str
    args: Any
    kwargs: Any
    options: Mapping[str, Any]
    asked: Asked | None = None

    def send(self) -> None:
        """Send it to the broker."""
        self.app.send_task(self.name, self.args, self.kwargs, **self.options)


def call_of(app: Any, one: Plan, instant: datetime, now: datetime) -> Call:
    """Return the call that the tick of a schedule at *instant* makes.

    Its job finds `celeriac_schedule` and `celeriac_tick` in `self.request.headers`, beside Celery's own
    `celery_beat_task`.

    Raises:
        celeriac.errors.CeleriacError, ValueError, LookupError: when no such call can be made.
    """
    row = one.row
    options = payload.decode(row.options)
    args, kwargs = payload.decode(row.args), payload.decode(row.kwargs)
    if options.pop("lazy", False):
        args, kwargs = lazy_arguments(app, row.name)
    options["headers"] = {
        **(options.get("headers") or {}),
        "celery_beat_task": True,
        "celeriac_schedule": row.name,
        "celeriac_tick": instant.isoformat(),
    }
    starts = instant + delay_of(row.name, instant, one.policy.jitter)
    if starts > now and one.policy.jitter:
        options["eta"] = starts
    if one.overlap in ("queue_one", "cancel_running"):
        options["exclusive"] = (LANE + row.name)[:200].replace("{", "{{").replace("}", "}}")
    task = app.tasks.get(row.task)
    told = {**options}
    if not is_durable(task, options):
        told.pop("exclusive", None)
        return Call((row.name, instant), app, row.task, args, kwargs, told)
    return Call((row.name, instant), app, row.task, args, kwargs, told, app.ask(row.task, args, kwargs, task, options))
