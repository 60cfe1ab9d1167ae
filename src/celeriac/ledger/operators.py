"""The verbs that operators have, by name: which jobs each takes, and what it does to a batch of them."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from uuid import UUID

from celeriac.ledger import bell
from celeriac.ledger.audit import Action, Change
from celeriac.ledger.columns import batches
from celeriac.ledger.database import writing
from celeriac.ledger.models import Job
from celeriac.ledger.rows import Edit, How, Operated
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import OPEN, State
from celeriac.ledger.verbs.cancel import cancel
from celeriac.ledger.verbs.discard import discard
from celeriac.ledger.verbs.replay import replay

__all__ = ["VERBS", "count_of"]

Move = Callable[[Action, list[UUID], dict[str, Any], str | None], Operated]


class _Verb(NamedTuple):
    name: str
    states: tuple[str, ...]  # that it takes where the selection names none
    others: tuple[str, ...]  # that it takes where they are named
    move: Move
    ends: bool = False  # jobs, for which somebody may be waiting

    def check(self, selection: Selection, options: dict[str, Any]) -> Selection:
        """Return *selection* with the states this verb takes; refuse others."""
        takes = {*self.states, *self.others, *([State.SUCCEEDED] if options.get("force") else [])}
        if not takes.issuperset(selection.states):
            raise ValueError(
                f"{self.name} takes jobs that are {', '.join(sorted(takes))}, not {', '.join(selection.states)}."
            )
        return selection.within(sorted(self.states))

    def note(self, skips: dict[str, int]) -> str:
        """Return in words what was left out."""
        words = {
            "state": f"not in a state to {self.name}, or not any more",
            "key": "whose key another job holds",
            "unread": "came as messages that nobody could read: give them arguments, one by one",
            "upstream": "never ran, since the step before died: they come back when that one succeeds",
        }
        return "; ".join(f"{count:,} skipped: {words[why]}" for why, count in sorted(skips.items()))


def count_of(selection: Selection, using: str | None) -> int:
    """Return how many jobs there are; of many ids a part at a time, as SQLite takes no more."""
    if selection.ids:
        return sum(Selection(ids=tuple(ids)).rows(using).count() for ids in batches(selection.ids))
    return selection.rows(using).count()


def _replay(action: Action, ids: list[UUID], options: dict[str, Any], using: str | None) -> Operated:
    edit = Edit(options.get("args"), options.get("kwargs"), options.get("diff", ""))
    how = How(bool(options.get("force")), options["delay"], options["every"], edit)
    return replay(action, ids, how, using=using)


def _discard(action: Action, ids: list[UUID], _: dict[str, Any], using: str | None) -> Operated:
    return discard(action, ids, using=using)


def _cancel(action: Action, ids: list[UUID], options: dict[str, Any], using: str | None) -> Operated:
    with writing(using) as alias:
        # Locked as `cancel` locks them, so that what is written of their state is what it finds.
        rows = Job.objects.using(alias).select_for_update().filter(id__in=ids).order_by("id")
        before = dict(rows.values_list("id", "state"))
        done = cancel(ids, signal=options.get("signal"), using=using)
        changed = [(id_, before[id_]) for id_ in _unique(done.settled + done.asked)]
        # One that is asked for the second time, by a signal now, has been told of.
        told = Change.objects.using(alias).filter(action=action, job_id__in=[id_ for id_, _ in changed])
        known = set(told.values_list("job_id", flat=True))
        Change.objects.using(alias).bulk_create(
            Change(action=action, job_id=id_, before=state) for id_, state in changed if id_ not in known
        )
    rings = [*done.freed, *([bell.CANCEL] if done.asked else [])]
    return Operated(changed, {"state": len(done.ended)} if done.ended else {}, rings)


def _unique(ids: Iterable[UUID]) -> list[UUID]:
    return list(dict.fromkeys(ids))


VERBS = {
    verb.name: verb
    for verb in (
        _Verb("replay", (State.DEAD,), (State.CANCELLED,), _replay),
        _Verb("discard", (State.DEAD,), (), _discard),
        _Verb("cancel", tuple(OPEN), (), _cancel, ends=True),
    )
}
