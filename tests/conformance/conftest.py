from __future__ import annotations

import pytest

from tests.ledger_helpers import Ledger


@pytest.fixture
def ledger(ledger_alias, db) -> Ledger:
    """The ledger on each database in turn; every verb is called with `using=`."""
    return Ledger(ledger_alias)
