"""What moves cost: statements that reach the server, counted in the driver."""

from __future__ import annotations

from contextlib import contextmanager
from unittest import mock

import pytest
from django.db import connection

from tests.ledger_helpers import Ledger, back, ending, story

pytestmark = pytest.mark.django_db(transaction=True)

psycopg = pytest.importorskip("psycopg")


@contextmanager
def statements():
    """All that is executed in the block, whoever asks for it."""
    seen, execute = [], psycopg.Cursor.execute

    def counted(self, query, *args, **kwargs):
        seen.append(query)
        return execute(self, query, *args, **kwargs)

    with mock.patch.object(psycopg.Cursor, "execute", counted):
        yield seen


@pytest.fixture
def ledger():
    connection.ensure_connection()
    return Ledger("default")


@pytest.mark.parametrize("count", [1, 100])
def test_a_retry_costs_what_a_finish_costs(ledger, count):
    jobs = ledger.running_many(3 * count)
    ends, failures, retries = jobs[:count], jobs[count : 2 * count], jobs[2 * count :]
    with statements() as finished:
        assert ledger.finish(*map(ending, ends)).count == count
    with statements() as failed:
        stories = [story(job) for job in failures]
        assert ledger.finish(*(ending(job, "dead") for job in failures), failures=stories).count == count
    with statements() as retried:
        moved = ledger.reschedule(*(back(job, charge=1) for job in retries), failures=[story(job) for job in retries])
        assert sum(n for _, _, n in moved) == count
    assert (len(finished), len(failed), len(retried)) == (1, 1, 1)
    assert len(ledger.attempts(retries[0])) == len(ledger.attempts(failures[0])) == 1
