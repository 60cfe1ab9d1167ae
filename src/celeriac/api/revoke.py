"""Revoking jobs: in the ledger, so that neither a worker nor a broker has to be there."""

import signal as signals
from collections.abc import Iterable
from typing import Any

from billiard.common import TERM_SIGNAME
from celery.platforms import signals as by_name

from celeriac.ledger import bell
from celeriac.ledger.ids import job_id
from celeriac.ledger.verbs.cancel import cancel

__all__ = ["revoke"]


def revoke(task_ids: Iterable[str], *, terminate: bool = False, signal: Any = None) -> list[str]:
    """Cancel the jobs of *task_ids* and return those ids that are not in the ledger.

    Joins the transaction open on the ledger's alias. A job that rests is cancelled; one that runs is asked to, and with
    *terminate* its process gets *signal* (a name or a number; SIGTERM).

    Raises:
        AttributeError, TypeError, ValueError: when there is no such signal; nothing was changed.
        django.db.DatabaseError: when the ledger cannot be written.
    """
    name = signals.Signals(by_name.signum(signal or TERM_SIGNAME)).name if terminate else None
    ids = {job_id(task_id): task_id for task_id in task_ids}
    cancelled = cancel(ids, signal=name)
    bells = [*cancelled.freed, bell.CANCEL] if cancelled.asked else cancelled.freed
    bell.ring_on_commit(bells, done=bool(cancelled.settled))
    known = {*cancelled.settled, *cancelled.asked, *cancelled.ended}
    return [task_id for id_, task_id in ids.items() if id_ not in known]
