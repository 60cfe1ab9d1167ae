"""Tasks that every Celeriac app has."""

from datetime import datetime
from typing import Any
from uuid import UUID

from celeriac.api.endings import Cancel, Snooze

__all__ = ["CHORD_JOIN", "SAME_AS", "TELL_OF_DEATH", "TELL_OF_TICK", "register"]

#: Runs when every header of a chord has ended; its row waits for them from before they exist.
CHORD_JOIN = "celeriac.chord_join"

#: Tells a task's `on_dead` and the signal `job_dead` of one death.
TELL_OF_DEATH = "celeriac.tell_of_death"

#: Tells the signal `schedule_missed` of one tick.
TELL_OF_TICK = "celeriac.tell_of_tick"

#: Ends as another job does: for a call with an id of its own whose idempotency key another job holds.
SAME_AS = "celeriac.same_as"

#: How often it looks, in seconds.
LOOK = 1.0

#: These must survive a bad minute of the database, or of whom they call.
RETRIES = {"autoretry_for": (Exception,), "retry_backoff": True, "retry_backoff_max": 60, "max_retries": 12}


def register(app: Any) -> None:
    """Give *app* these tasks."""
    for name, bound in ((CHORD_JOIN, join_chord), (TELL_OF_DEATH, tell_of_death)):
        app.task(name=name, bind=True, shared=False, ignore_result=True, **RETRIES)(bound)
    app.task(name=TELL_OF_TICK, shared=False, ignore_result=True, **RETRIES)(tell_of_tick)
    app.task(name=SAME_AS, shared=False)(same_as)


def join_chord(self: Any, body: Any, header_ids: list[str]) -> None:
    """Run the chord's body with its headers' results, or fail the body if a header failed."""
    self.app.backend.join_chord(body, header_ids)


def tell_of_death(self: Any, job_id: str) -> None:
    """Call the hook of the task that the job was of, then the receivers of `job_dead`; those fail each for itself."""
    from celeriac.ledger.models import Job
    from celeriac.ledger.queries import find
    from celeriac.ledger.states import State
    from celeriac.signals import job_dead

    job = find(UUID(job_id))
    if job is None or job.state != State.DEAD:
        return  # somebody has seen to it already
    task = self.app.tasks.get(job.task)
    if task is not None:
        task.on_dead(job)
    job_dead.send_robust(sender=Job, job=job)


def tell_of_tick(schedule: str, instant: str, reason: str) -> None:
    """Call the receivers of `schedule_missed`; those fail each for itself."""
    from django.apps import apps
    from django.conf import settings
    from django.utils.timezone import make_naive

    from celeriac.ledger.database import alias_of
    from celeriac.signals import schedule_missed

    model: Any = apps.get_model("celeriac", "Tick")
    when = datetime.fromisoformat(instant)
    kept = when if settings.USE_TZ else make_naive(when)
    tick = model.objects.using(alias_of()).filter(schedule=schedule, instant=kept).first()
    schedule_missed.send_robust(sender=model, schedule=schedule, instant=when, reason=reason, tick=tick)


def same_as(task_id: str) -> Any:
    """Return what the job *task_id* returned, or raise what it died of; until it has ended, come again."""
    from celeriac.api import payload
    from celeriac.ledger.ids import job_id
    from celeriac.ledger.queries import find
    from celeriac.ledger.states import ENDED, State

    job = find(job_id(task_id))
    if job is not None and job.state not in ENDED:
        raise Snooze(LOOK)
    if job is None or job.state == State.CANCELLED:
        raise Cancel(f"{task_id}, which stood for this job, is gone" if job is None else job.reason)
    if job.state == State.DEAD:
        raise SameDeath(f"{task_id}, which stands for this job, is dead of {job.exception}")
    return None if job.result is None else payload.decode(job.result)


class SameDeath(Exception):
    """The job that stood for this one is dead."""
