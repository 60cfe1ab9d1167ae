"""The same id from two transactions; and transactions that never happened."""

from __future__ import annotations

import pytest

from tests.ledger_helpers import a_job, ending
from tests.races.conftest import PATIENCE


@pytest.mark.parametrize("others", [0, 3])
def test_an_id_from_two_transactions_is_one_row(ledger, actor, blocked, others):
    job = a_job(args='["first"]')
    first = actor()
    first.begins()
    assert first.does(ledger.insert, job) == 1
    more = [a_job() for _ in range(others)]
    second = actor().starts(ledger.insert, job._replace(args='["second"]'), *more)
    blocked(1)
    first.commits()
    assert second.result(PATIENCE) == others
    assert ledger.row(job).args == '["first"]'
    ledger.balances(inserted=1 + others)


@pytest.mark.parametrize("others", [0, 3])
def test_an_id_whose_first_transaction_is_rolled_back_is_the_second_ones(ledger, actor, blocked, others):
    job = a_job(args='["first"]')
    first = actor()
    first.begins()
    first.does(ledger.insert, job)
    second = actor().starts(ledger.insert, job._replace(args='["second"]'), *(a_job() for _ in range(others)))
    blocked(1)
    first.rolls_back()
    assert second.result(PATIENCE) == 1 + others
    assert ledger.row(job).args == '["second"]'


@pytest.mark.parametrize("others", [0, 3])
def test_asking_again_inside_a_long_transaction_holds_nobody_up(ledger, actor, others):
    job = ledger.given()
    view = actor()
    view.begins()
    assert view.does(ledger.insert, job, *(a_job() for _ in range(others))) == others
    worker = actor()
    [claimed] = worker.does(ledger.claim)
    assert worker.does(ledger.finish, ending(claimed)).count == 1


def test_an_uncommitted_job_is_nobodys(ledger, actor):
    view, worker = actor(), actor()
    view.begins()
    view.does(ledger.insert, a_job())
    assert worker.does(ledger.claim) == []
    view.commits()
    assert len(worker.does(ledger.claim)) == 1


def test_a_rolled_back_job_never_was(ledger, actor):
    view = actor()
    view.begins()
    view.does(ledger.insert, a_job())
    view.does(ledger.insert_waiting, a_job(), [a_job().id])
    view.rolls_back()
    ledger.balances(inserted=0)
