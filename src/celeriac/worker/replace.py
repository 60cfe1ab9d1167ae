"""Task.replace: other jobs take a job's place, and the last of them its id."""

from celeriac.api.context import Run
from celeriac.ledger.database import writing
from celeriac.ledger.rows import Return
from celeriac.ledger.verbs import reschedule
from celeriac.loops import insist

__all__ = ["replace"]


def replace(run: Run, root_id: str) -> None:
    """Park the row until its id comes back as the last step of the replacement, and send the replacement.

    Both are one transaction, so no step of the replacement can end before the row waits for it. A claim that is no
    longer ours sends nothing. An outage is waited out, as for any end of a run.

    Raises:
        Exception: what keeps the replacement from being sent; nothing was written.
    """

    def send() -> None:
        with writing():
            if reschedule([Return(run.job.id, run.job.claim_no, reason="replaced")]):
                run.replacement.apply_async(parent_id=run.task_id, root_id=root_id)

    insist("celeriac replacement", send)
    run.settled = True
