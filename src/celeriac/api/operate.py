"""What operators do to jobs: the one way for the admin, the command line and code.

Each call writes an `Action`, who, why and from where, and for each job that it changed a `Change`. Up to a batch is
done before the call returns. Of more, the jobs are counted and the action is there: whoever began it may `go_on`, or
leave it to the worker that leads, which takes it up after some seconds. Nothing here asks whether the actor may.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from celery import current_app

from celeriac.api.edit import edited
from celeriac.ledger import act
from celeriac.ledger.act import Step
from celeriac.ledger.audit import Action
from celeriac.ledger.columns import BATCH
from celeriac.ledger.rows import By
from celeriac.ledger.selection import Selection

__all__ = ["By", "Selection", "Step", "cancel", "discard", "go_on", "replay", "step", "stop"]


def replay(
    selection: Selection,
    by: By,
    *,
    rate: float | None = None,
    canary: bool = False,
    force: bool = False,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    app: Any = None,
) -> Action:
    """Send jobs back that are dead (or cancelled, where *selection* says so), as if they were asked for now.

    Args:
        selection: which; without states in it, the dead.
        by: who, why, from where.
        rate: jobs a second that become due, for the sake of whatever they all died of.
        canary: send one ahead, then ten, then all; stop when one of those fails again.
        force: take jobs that succeeded, too. They have their effects a second time, but those that `once` recorded.
        args: other positional arguments, for one job.
        kwargs: other keyword arguments, for one job.
        app: whose tasks they are to fit; the current Celery app.

    Raises:
        ValueError: when *selection* names states that cannot be replayed, *rate* is not above 0, or other arguments
            are given for more than one job; nothing was written.
        celeriac.errors.WrongArguments, celeriac.errors.PayloadError: when other arguments do not fit or cannot be kept.
    """
    if rate is not None and not rate > 0:
        raise ValueError(f"A rate is a number of jobs a second, above 0, not {rate!r}.")
    options: dict[str, Any] = {"rate": rate, "canary": canary, "force": force}
    if args is not None or kwargs is not None:
        if len(selection.ids) != 1:
            raise ValueError(f"Other arguments are for one job, by its id, not for {selection}.")
        job = selection.rows().get()
        new_args, new_kwargs, diff = edited(app or current_app, job, args, kwargs)
        options |= {"args": new_args, "kwargs": new_kwargs, "diff": json.dumps(diff, ensure_ascii=False)}
    return _begun(act.begin("replay", selection, by, options))


def discard(selection: Selection, by: By) -> Action:
    """Put dead jobs away, as cancelled for the reason "discarded"; what is known of their death stays.

    Raises:
        ValueError: when *selection* names other states.
    """
    return _begun(act.begin("discard", selection, by))


def cancel(selection: Selection, by: By, *, terminate: bool = False) -> Action:
    """Cancel jobs that rest, and ask those that run; with *terminate* end the processes of those by SIGTERM.

    Raises:
        ValueError: when *selection* names states of ends.
    """
    return _begun(act.begin("cancel", selection, by, {"signal": "SIGTERM" if terminate else None}))


def _begun(action: Action) -> Action:
    if action.matched <= BATCH:
        act.run(action)
    return action


def step(action: Action) -> Step:
    """Do one batch of *action*, for a caller that shows how it goes on; each is a transaction of its own."""
    return act.step(action)


def go_on(action: Action) -> Step:
    """Do batches of *action* until it is over, waits (for a canary, or for its rate), or another is at it."""
    return act.run(action)


def stop(action: Action, by: By) -> bool:
    """Let *action* change nothing more; what it did stays. False when it was over already."""
    return act.stop(action, by)
