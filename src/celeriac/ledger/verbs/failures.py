"""Keeping the story of an attempt, as part of the verb that moves its job on."""

from collections.abc import Sequence

from celeriac.ledger.columns import arrays
from celeriac.ledger.database import execute
from celeriac.ledger.rows import Failure

__all__ = ["keep_failures"]


def keep_failures(failures: Sequence[Failure], *, using: str | None = None) -> None:
    """Insert an `Attempt` for each failure whose claim still holds; call it inside the moving verb's transaction."""
    execute("failures", arrays(failures), using)
