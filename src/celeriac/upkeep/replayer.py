"""Going on with operators' actions that nobody moves any more, in whichever worker leads."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from celeriac.ledger import act
from celeriac.ledger.act import Step
from celeriac.ledger.audit import Action
from celeriac.ledger.database import alias_of, clock

__all__ = ["LEFT_SECONDS", "replayer"]

#: An action that has not moved for so long is left to us. Its caller needs less for a batch, and two do no harm.
LEFT_SECONDS = 5.0

#: Between two looks, which are one query on an index that is mostly empty.
LOOK_SECONDS = 1.0


def replayer(leads: Callable[[], bool]) -> Callable[[], float]:
    """Return a round for a `Loop`: one batch of each action that was left, or that we have taken up before."""
    ours: set[UUID] = set()

    def round_() -> float:
        if not leads():
            ours.clear()
            return LOOK_SECONDS
        open_ = Action.objects.using(alias_of()).filter(state="open").order_by("created_at")
        found = list(open_)
        ours.intersection_update(action.pk for action in found)
        left = clock() - timedelta(seconds=LEFT_SECONDS) if found else None
        moved = False
        for action in found:
            if action.pk in ours or (left is not None and action.moved_at <= left):
                ours.add(action.pk)
                moved = act.step(action) == Step.MOVED or moved
        return 0.0 if moved else LOOK_SECONDS

    return round_
