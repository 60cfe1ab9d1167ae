"""reschedule: running → scheduled, ready or waiting, for a job that gets another attempt."""

from collections.abc import Sequence

from celeriac import events
from celeriac.ledger import portable
from celeriac.ledger.columns import arrays, stories
from celeriac.ledger.database import execute, is_postgresql
from celeriac.ledger.rows import Failure, Return

__all__ = ["reschedule", "write_returns"]


def reschedule(
    returns: Sequence[Return], failures: Sequence[Failure] = (), *, using: str | None = None
) -> list[tuple[str, str, int]]:
    """Send claimed jobs back, with the stories of those that failed; return (queue, state, how many) for each kind."""
    back = write_returns(returns, failures, using=using)
    if returns:
        events.emit("reschedule", returns=returns, failures=failures, moved=back)
    return back


def write_returns(
    returns: Sequence[Return], failures: Sequence[Failure], *, using: str | None = None
) -> list[tuple[str, str, int]]:
    """Do what `reschedule` does, for a verb that tells of it under its own name."""
    if not returns:
        return []
    if is_postgresql(using):
        moved = execute("reschedule", arrays(returns) | stories(failures), using)
    else:
        moved = portable.reschedule(returns, failures, using=using)
    return [(queue, state, count) for queue, state, count in moved]
