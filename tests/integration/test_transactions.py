"""A call belongs to the transaction it was made in."""

from __future__ import annotations

import contextlib
from contextlib import contextmanager

import pytest
from django.db import transaction

from celeriac.ledger.models import Job
from tests.integration.looking import elsewhere, ended, job, lines, state, statements
from tests.shop.celery import app
from tests.shop.models import Customer
from tests.shop.tasks import add, noop, note

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


@contextmanager
def undone():
    """A transaction that fails at its end."""
    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        yield
        raise ZeroDivisionError


def test_a_job_is_seen_only_after_the_commit(tmp_path):
    path = tmp_path / "notes"
    with transaction.atomic():
        inside = note.delay(str(path), "inside")
        assert inside.id
        assert job(inside).state == "ready"
        assert elsewhere(Job.objects.count) == 0
        # Asked for later, committed earlier: once this has run, the other could have.
        elsewhere(lambda: ended(noop.delay()))
        assert lines(path) == []
    ended(inside)
    assert lines(path) == ["inside"]


def test_a_rolled_back_job_never_was(tmp_path):
    path = tmp_path / "notes"
    with undone():
        Customer.objects.create(name="Ada", email="ada@example.com")
        lost = note.delay(str(path), "undone")
    ended(noop.delay())
    assert lines(path) == []
    assert not Job.objects.filter(id=lost.id).exists()
    assert lost.state == "PENDING"


def test_a_savepoint_takes_only_its_own_jobs_back(tmp_path):
    path = tmp_path / "notes"
    with transaction.atomic():
        before = note.delay(str(path), "before")
        with undone():
            lost = note.delay(str(path), "lost")
        after = note.delay(str(path), "after")
    ended(before, after)
    assert sorted(lines(path)) == ["after", "before"]
    assert not Job.objects.filter(id=lost.id).exists()


def test_jobs_of_a_transaction_stand_in_line_in_the_order_of_their_calls(tmp_path):
    path = tmp_path / "notes"
    with transaction.atomic():
        results = [note.delay(str(path), number) for number in range(5)]
    assert [row.state for row in ended(*results)] == ["succeeded"] * 5
    order = [row.run_at for row in ended(*results)]
    assert order == sorted(order)


def test_delay_on_commit_answers_and_runs(tmp_path):
    path = tmp_path / "notes"
    with transaction.atomic():
        note.delay_on_commit(str(path), "later")
        assert Job.objects.count() == 0
    ended(Job.objects.get().id)
    assert lines(path) == ["later"]


def test_one_call_is_one_statement():
    noop.delay()  # connection and prepared statement are there
    with statements() as sent:
        result = add.delay(1, 2)
    assert len(sent) == 1, sent
    assert result.get(timeout=10) == 3


def test_many_calls_are_one_statement_per_1000():
    with statements() as sent:
        results = app.enqueue_many(noop.s(number) for number in range(2500))
    assert len([statement for statement in sent if "INSERT" in statement]) == 3
    assert len({result.id for result in results}) == 2500
    ended(*results)
    assert [result.result for result in results[::500]] == [0, 500, 1000, 1500, 2000]


def test_many_calls_join_the_transaction():
    with undone():
        app.enqueue_many([noop.s(1), add.s(1, 2)])
        assert Job.objects.count() == 2
    assert Job.objects.count() == 0


def test_a_chain_is_not_one_job():
    with pytest.raises(TypeError, match="single tasks"):
        app.enqueue_many([noop.s(1) | add.s(1)])
    assert Job.objects.count() == 0


def test_many_calls_check_the_signature_of_each():
    with pytest.raises(TypeError):
        app.enqueue_many([add.s(1, 2), add.s(1)])
    assert Job.objects.count() == 0


def test_a_refused_argument_names_itself_and_leaves_no_row():
    ada = Customer(name="Ada", email="ada@example.com")
    with pytest.raises(Exception, match=r"'value'.*Customer.*primary key"):
        noop.delay(ada)
    with pytest.raises(Exception, match=r"'y'.*function"):
        add.delay(1, y=lambda: None)
    assert Job.objects.count() == 0
    assert state(noop.delay(1)) == ("succeeded", "")
