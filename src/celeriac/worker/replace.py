"""Task.replace: other jobs take a job's place, and the last of them its id."""

from functools import partial

from celeriac.api.context import Run
from celeriac.ledger.database import writing
from celeriac.ledger.rows import Return
from celeriac.ledger.verbs import reschedule
from celeriac.loops import insist

__all__ = ["replace", "substitute"]


def replace(run: Run) -> None:
    """Park the row until its id comes back as the last step of the replacement, and send the replacement.

    Both are one transaction, so no step of the replacement can end before the row waits for it. A claim that is no
    longer ours sends nothing. An outage is waited out, as for any end of a run.

    Raises:
        Exception: what keeps the replacement from being sent; nothing was written.
    """
    insist("celeriac replacement", partial(substitute, run))
    run.settled = True


def substitute(run: Run) -> bool:
    """Do so once, joining the transaction that is open, if any; False if the claim is no longer ours."""
    with writing():
        if not reschedule([Return(run.job.id, run.job.claim_no, reason="replaced")]):
            return False
        run.replacement.apply_async(parent_id=run.task_id, root_id=run.root_id)
        return True
