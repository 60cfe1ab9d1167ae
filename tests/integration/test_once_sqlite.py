"""`self.once` where the database has one writer."""

from __future__ import annotations

import pytest

from celeriac.errors import OpenTransaction
from celeriac.ledger.models import Effect
from celeriac.worker.executor import run_job
from tests.integration.looking import lines
from tests.ledger_helpers import Ledger
from tests.shop import effects as shop
from tests.shop.celery import app

pytestmark = [pytest.mark.django_db(transaction=True, databases=["lite"]), pytest.mark.usefixtures("lite")]


def run(task, path):
    task.delay(path, [["", ""]])
    [claimed] = Ledger("lite").claim(1, "celery")
    return run_job(app, claimed, "here")


def test_outside_of_a_transaction_it_works(tmp_path):
    assert run(shop.pay, str(tmp_path / "notes")).error is None
    assert Effect.objects.using("lite").get().done


def test_inside_of_one_it_is_refused_before_anything_happens(tmp_path, monkeypatch):
    monkeypatch.setattr(shop, "ALIAS", "lite")
    path = str(tmp_path / "notes")
    error = run(shop.pay_in_transaction, path).error
    assert isinstance(error, OpenTransaction)
    assert "which is SQLite: that has one writer" in str(error)
    assert [line for line in lines(path) if line.startswith("charge")] == []
    assert not Effect.objects.using("lite").exists()
