"""Replaying one job first, then ten, then the rest: if one of those fails again, the others need not."""

from typing import NamedTuple

from django.db.models import F

from celeriac.ledger.audit import Action, Change
from celeriac.ledger.database import alias_of
from celeriac.ledger.models import Attempt, Job
from celeriac.ledger.states import OPEN, State

__all__ = ["Sent", "look"]

#: How many have been sent ahead after each stage.
STAGES = (1, 11)


class Sent(NamedTuple):
    """What became of those that were sent ahead: which failed again, whether one is open, how many to send next."""

    failed: str
    runs: bool
    more: int  # 0: no limit any more


def look(action: Action, using: str | None) -> Sent:
    """Look at what *action* has sent ahead. Once the rest is sent there is nothing to look at."""
    if action.changed > STAGES[-1]:
        return Sent("", runs=False, more=0)
    sent = Change.objects.using(alias_of(using)).filter(action=action)
    # Before the failed are looked for: one that died between the two looks would be in neither.
    runs = sent.filter(job__state__in=sorted(OPEN)).exists()
    more = next((stage - action.changed for stage in STAGES if action.changed < stage), 0)
    return Sent(_failed(action, using), runs, more)


def _failed(action: Action, using: str | None) -> str:
    """Return in words which of those sent ahead failed again first, or "".

    The first failure is enough: until the last attempt hours may pass. A process that died may have died of others.
    """
    sent = Change.objects.using(alias_of(using)).filter(action=action)
    died = sent.filter(job__state=State.DEAD).order_by("id").select_related("job").first()
    if died is not None:
        return _died(died.job)
    attempts = Attempt.objects.using(alias_of(using)).filter(job__changes__action=action, replay=F("job__replays"))
    attempt = attempts.exclude(kind="lost").order_by("id").select_related("job").first()
    if attempt is None:
        return ""
    if attempt.job.state == State.DEAD:  # it died between the two looks
        return _died(attempt.job)
    return f"{attempt.job.task}[{attempt.job_id}] failed again: {attempt.exception}"


def _died(job: Job) -> str:
    return f"{job.task}[{job.id}] died again: {job.exception or job.reason}"
