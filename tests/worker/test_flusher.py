"""An end that the ledger refuses is an end all the same, and can be found and told from others."""

from __future__ import annotations

import pytest
from django.db.utils import DataError

from celeriac.ledger import dead
from celeriac.ledger.verbs import finish
from celeriac.worker import flusher
from tests.ledger_helpers import Ledger, ending

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def picky(monkeypatch):
    """A database that keeps no result."""

    def refuse(endings, stories):
        if any(end.result for end in endings):
            raise DataError("value too long")
        return finish(endings, stories)

    monkeypatch.setattr(flusher, "finish", refuse)


def test_it_is_dead_with_a_reason_and_a_group_of_its_own(picky):
    ledger = Ledger("default")
    refused, other = ledger.running(), ledger.running()
    flusher._finish([ending(refused, "succeeded", result="1"), ending(other, "succeeded")], [])
    assert ledger.values(refused)["reason"] == "unwritable"
    assert ledger.values(other)["state"] == "succeeded"
    [group] = dead.groups()
    assert (group.count, group.exception) == (1, "django.db.utils.DataError")
    assert group.fingerprint  # an empty filter would mean all of the dead
