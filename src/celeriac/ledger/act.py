"""An operator's action on any number of jobs: begun once, moved on a batch at a time by whoever comes, to its end.

Each batch is one transaction: the jobs it moves, a `Change` for each, and how far the action is. So it may be killed
anywhere and gone on with by anybody; two who try at once do not do the same batch. It takes jobs as they were when it
was asked for: one that is replayed and dies again is not replayed again by the same action.
"""

import json
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from celeriac import faults
from celeriac.ledger import bell, canary
from celeriac.ledger.audit import Action
from celeriac.ledger.columns import BATCH
from celeriac.ledger.database import alias_of, clock, connection_of, writing
from celeriac.ledger.ids import new_id
from celeriac.ledger.line import next_jobs
from celeriac.ledger.operators import VERBS, count_of
from celeriac.ledger.rows import By
from celeriac.ledger.selection import Selection

__all__ = ["Step", "begin", "run", "step", "stop"]

#: With a rate, nothing is sent that is due later than in so many seconds: an action that is stopped shall have stopped.
AHEAD = 60.0


class Step(StrEnum):
    """What a step found to do."""

    MOVED = "moved"  # a batch; there may be more
    WAITS = "waits"  # for a canary to come to an end, or for the time of what was sent already
    BUSY = "busy"  # somebody else is at it
    OVER = "over"


def begin(
    verb: str, selection: Selection, by: By, options: dict[str, Any] | None = None, *, using: str | None = None
) -> Action:
    """Count the jobs, and write down what is to be done to them. Nothing has been done yet.

    Options of a replay: `force` (succeeded jobs too), `rate` (jobs a second), `canary`, `args`, `kwargs`, `diff`; of a
    cancel: `signal`.

    Raises:
        ValueError: when *selection* names states that the verb does not take.
    """
    options = {name: value for name, value in (options or {}).items() if value}
    chosen = VERBS[verb].check(selection, options)
    matched = count_of(chosen, using)
    with writing(using) as alias:
        now = clock(using)
        return Action.objects.using(alias).create(
            id=UUID(new_id()),
            verb=verb,
            **by._asdict(),
            selection=chosen.as_json(),
            options=json.dumps(options),
            state="open",
            matched=matched,
            created_at=now,
            moved_at=now,
        )


def step(action: Action, *, using: str | None = None) -> Step:
    """Do one batch, and bring *action* up to date."""
    with writing(using) as alias:
        skips = connection_of(using).features.has_select_for_update_skip_locked
        rows = Action.objects.using(alias).filter(pk=action.pk)
        held = rows.select_for_update(skip_locked=skips).first()
        if held is None:
            return Step.BUSY
        done = _step(held, using) if held.state == "open" else Step.OVER
        faults.point("act.before_commit")
    action.refresh_from_db(using=alias_of(using))
    return done


def run(action: Action, *, using: str | None = None) -> Step:
    """Do batches for as long as there is something to do at once; return why not any longer."""
    while (done := step(action, using=using)) == Step.MOVED:
        faults.point("act.between_batches")
    return done


def stop(action: Action, by: By, *, using: str | None = None) -> bool:
    """Let *action* do nothing more; what it did stays. False when it was over."""
    with writing(using) as alias:
        held = Action.objects.using(alias).select_for_update().get(pk=action.pk)
        open_ = held.state == "open"
        if open_:
            _end(held, "stopped", f"stopped by {by.actor} ({by.origin}){by.reason and ': '}{by.reason}", clock(using))
            held.save(using=alias)
    action.refresh_from_db(using=alias_of(using))
    return open_


class _Spread(NamedTuple):
    """When the jobs of a batch shall run: the first after `delay` seconds, the others `every` so many."""

    delay: float = 0.0
    every: float = 0.0


def _step(action: Action, using: str | None) -> Step:
    options = json.loads(action.options)
    now = clock(using)
    limit = BATCH
    if options.get("canary"):
        sent = canary.look(action, using)
        if sent.failed:
            _end(action, "stopped", sent.failed, now)
            action.save(using=alias_of(using))
            return Step.OVER
        if sent.runs:
            return Step.WAITS
        limit = sent.more or limit
    spread = _spread(options, now)
    if spread.delay > AHEAD:
        return Step.WAITS
    selection, verb = Selection.from_json(action.selection), VERBS[action.verb]
    ids, options["at"] = next_jobs(selection, action.created_at, options, limit, using=using)
    if not ids:
        _end(action, "done", "", now)
        action.save(using=alias_of(using))
        return Step.OVER
    done = verb.move(action, ids, {**options, **spread._asdict()}, using)
    action.changed += len(done.changed)
    action.skipped += sum(done.skipped.values())
    action.stage = action.changed if options.get("canary") and limit < BATCH else action.stage
    options["skips"] = {
        why: options.get("skips", {}).get(why, 0) + done.skipped.get(why, 0)
        for why in {*options.get("skips", {}), *done.skipped}
    }
    if spread.every:
        options["next"] = (now + timedelta(seconds=spread.delay + spread.every * len(done.changed))).isoformat()
    action.options, action.note, action.moved_at = json.dumps(options), verb.note(options["skips"]), now
    action.save(using=alias_of(using))
    bell.ring_on_commit(done.rings, done=verb.ends, using=using)
    return Step.MOVED


def _spread(options: dict[str, Any], now: datetime) -> _Spread:
    if not options.get("rate"):
        return _Spread()
    next_ = datetime.fromisoformat(options["next"]) if "next" in options else now
    return _Spread(max(0.0, (next_ - now).total_seconds()), 1.0 / options["rate"])


def _end(action: Action, state: str, note: str, now: datetime) -> None:
    action.state, action.moved_at, action.ended_at = state, now, now
    action.note = "; ".join(part for part in (action.note, note) if part)
