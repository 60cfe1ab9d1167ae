"""Replaying one job first, then ten, then the rest: if one of those dies again, the others need not."""

from typing import NamedTuple

from celeriac.ledger.audit import Action, Change
from celeriac.ledger.database import alias_of
from celeriac.ledger.states import OPEN, State

__all__ = ["Sent", "look"]

#: How many have been sent ahead after each stage.
STAGES = (1, 11)


class Sent(NamedTuple):
    """What became of those that were sent ahead: which died again, whether one has not ended, how many to send next."""

    died: str
    runs: bool
    more: int  # 0: no limit any more


def look(action: Action, using: str | None) -> Sent:
    """Look at what *action* has sent ahead. Once the rest is sent there is nothing to look at."""
    if action.changed > STAGES[-1]:
        return Sent("", runs=False, more=0)
    sent = Change.objects.using(alias_of(using)).filter(action=action)
    # Before the dead are looked for: one that died between the two looks would be in neither.
    runs = sent.filter(job__state__in=sorted(OPEN)).exists()
    died = sent.filter(job__state=State.DEAD).order_by("id").select_related("job").first()
    if died is not None:
        job = died.job
        return Sent(f"{job.task}[{job.id}] died again: {job.exception or job.reason}", runs=False, more=0)
    more = next((stage - action.changed for stage in STAGES if action.changed < stage), 0)
    return Sent("", runs, more)
