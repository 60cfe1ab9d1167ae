"""replay: dead, cancelled or, with force, succeeded → ready, scheduled or waiting, as if asked for now."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from django.db.utils import IntegrityError, OperationalError

from celeriac import events, faults
from celeriac.ledger import bell, portable_operators
from celeriac.ledger.audit import Action
from celeriac.ledger.database import alias_of, execute, is_postgresql, writing
from celeriac.ledger.ids import key_digest
from celeriac.ledger.models import Job
from celeriac.ledger.rows import How, Operated
from celeriac.ledger.states import State
from celeriac.loops import is_conflict

__all__ = ["HOW", "replay"]

#: Two who want the same key at once: one is refused by the index, and sees when it looks again that the key is taken.
TRIES = 3


HOW = How()


def replay(action: Action, ids: Sequence[UUID], how: How = HOW, *, using: str | None = None) -> Operated:
    """Send jobs that have ended back, for *action*, and write for each a `Change`.

    They start anew: attempts, losses, end and expiry are forgotten, the `Attempt` rows stay, and so does `claim_no`,
    by which whoever still runs an old claim is refused. Skipped are jobs that have not ended or ended after *action*
    was asked for; those whose key another job holds by now; those that never ran since the step before them died, which
    come back when that one succeeds; and those whose arguments nobody could read, unless *how* has others.
    """
    operated = _insist(action, sorted(set(ids)), how, using)
    if operated.changed or operated.skipped:
        events.emit("replay", action=action, operated=operated)
    return operated


def _insist(action: Action, ids: list[UUID], how: How, using: str | None) -> Operated:
    for _ in range(TRIES - 1):
        try:
            return _replay(action, ids, how, using)
        except (IntegrityError, OperationalError) as error:
            if not isinstance(error, IntegrityError) and not is_conflict(error):
                raise
    return _replay(action, ids, how, using)


def _replay(action: Action, ids: list[UUID], how: How, using: str | None) -> Operated:
    with writing(using):
        digests = _digests(ids, using)
        faults.point("replay.before_statement")
        if is_postgresql(using):
            params = {
                **how.edit._asdict(),
                "id": ids,
                "digest": [digests.get(id_) for id_ in ids],
                "states": how.states,
                "delay": how.delay,
                "every": how.every,
                "action": action.pk,
                "until": action.created_at,
            }
            rows = execute("replay", params, using)
        else:
            rows = portable_operators.replay(action, ids, digests, how, using=using)
    changed = [(id_, before) for id_, before, _, _, skip in rows if not skip]
    queues = {queue for _, _, queue, state, _ in rows if state == State.READY}
    later = any(state in {State.SCHEDULED, State.WAITING} for _, _, _, state, _ in rows)
    skipped = Counter(skip for *_, skip in rows if skip)
    return Operated(changed, dict(skipped), [*sorted(queues), *([bell.SCHEDULED] if later else [])])


def _digests(ids: list[UUID], using: str | None) -> dict[UUID, str]:
    """Return what those that had a key while they were open, or until they were claimed, have to hold again."""
    keyed = Job.objects.using(alias_of(using)).filter(id__in=ids, hold__in=["open", "pending"]).exclude(key="")
    return {id_: key_digest(task, key) for id_, task, key in keyed.values_list("id", "task", "key")}
