"""Replay with other arguments: wrong ones are told at the field, right ones are shown as a difference first."""

from __future__ import annotations

import pytest
from django.test import override_settings

from celeriac.api.payload import decode, encode_call
from celeriac.ledger.audit import Action
from celeriac.ledger.states import State
from tests.admin.pages import edit_of, page_of, text
from tests.shop.celery import app

pytestmark = pytest.mark.django_db(databases=["default", "lite"])


@app.task(name="admin.pay")
def pay(customer, amount=0, *, note=None):
    """What is asked for by the tests here."""


@pytest.fixture(autouse=True)
def current():
    app.set_current()


def a_death(ledger, *args, state=State.DEAD, **kwargs):
    packed = encode_call("admin.pay", args, kwargs)
    return ledger.at(state, task="admin.pay", args=packed[0], kwargs=packed[1])


def test_shown_checked_and_done(ledger, operator):
    job = a_death(ledger, 7, note="old")
    page = text(operator.get(edit_of(job)))
    assert "&quot;note&quot;: &quot;old&quot;" in page
    form = {"args": "[8]", "kwargs": '{"note": "new"}', "reason": "a typo"}
    shown = text(operator.post(edit_of(job), form))
    assert "What changes" in shown
    for piece in ("customer", "<del>7</del>", "<ins>8</ins>", "&quot;new&quot;"):
        assert piece in shown
    assert ledger.state(job) == State.DEAD
    done = operator.post(edit_of(job), {**form, "confirmed": "yes"})
    assert done.headers["Location"] == page_of(job)
    row = ledger.row(job)
    assert (row.state, row.args, row.kwargs) == ("ready", "[8]", '{"note":"new"}')
    assert "<del>7</del>" in text(operator.get(page_of(job)))


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"args": "[8"}, "This is not JSON"),
        ({"kwargs": "{'note': 1}"}, "This is not JSON"),
        ({"args": '{"a": 1}'}, "This has to be a list"),
        ({"kwargs": "[]"}, "This has to be an object"),
        ({"args": '{"__type__": "tuple", "__value__": [1]}'}, "This has to be a list"),
        ({"args": '[{"__type__": "datetime", "__value__": "yesterday"}]'}, "This cannot be read"),
        ({"args": '[{"__type__": "set", "__value__": [[1]]}]'}, "This cannot be read"),
        ({"args": "[" * 100_000}, "This cannot be read"),
        ({"args": "[]"}, "customer"),
        ({"args": "[1, 2, 3]"}, "positional"),
        ({"kwargs": '{"nots": 1}'}, "nots"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_field(ledger, operator, form, told):
    job = a_death(ledger, 7)
    given = {"args": "[7]", "kwargs": "{}", **form}
    for confirmed in ({}, {"confirmed": "yes"}):
        page = text(operator.post(edit_of(job), {**given, **confirmed}))
        _, found, after = page.partition("errorlist")
        assert found
        assert told in after
        [field] = form
        label, own = page.index(f'for="id_{field}"'), page.index("errorlist")
        assert own < label
    assert ledger.state(job) == State.DEAD
    assert not Action.objects.using(ledger.alias).exists()


def test_too_much_is_told(ledger, operator, settings):
    job = a_death(ledger, 7)
    with override_settings(CELERIAC={**settings.CELERIAC, "MAX_PAYLOAD_BYTES": 20}):
        page = text(operator.post(edit_of(job), {"args": f'["{"x" * 30}"]', "kwargs": "{}"}))
    assert "the limit is 20" in page


def test_what_is_no_plain_json_comes_back_as_it_was(ledger, operator):
    job = a_death(ledger, (1, 2), note={3})
    row = ledger.row(job)
    kwargs = row.kwargs.replace("3", "4")
    operator.post(edit_of(job), {"args": row.args, "kwargs": kwargs, "confirmed": "yes"})
    after = ledger.row(job)
    assert (after.state, after.args) == ("ready", row.args)
    assert decode(after.kwargs) == {"note": {4}}


def test_back_to_the_form_before_it_is_done(ledger, operator):
    job = a_death(ledger, 7)
    form = {"args": "[8]", "kwargs": "{}", "confirmed": "yes", "again": "yes"}
    assert "Show what changes" in text(operator.post(edit_of(job), form))
    assert ledger.state(job) == State.DEAD


def test_the_same_arguments_are_no_change(ledger, operator):
    job = a_death(ledger, 7)
    assert "Nothing changes" in text(operator.post(edit_of(job), {"args": "[ 7 ]", "kwargs": ""}))


def test_what_succeeded_says_that_it_did(ledger, operator):
    job = a_death(ledger, 7, state=State.SUCCEEDED)
    assert "a second time" in text(operator.get(edit_of(job)))
    operator.post(edit_of(job), {"args": "[8]", "kwargs": "{}", "confirmed": "yes"})
    assert (ledger.state(job), ledger.row(job).args) == ("ready", "[8]")


def test_what_is_open_is_not_edited(ledger, operator):
    assert operator.get(edit_of(ledger.given())).status_code == 409


def test_a_task_that_nobody_here_knows_is_not_checked(ledger, operator):
    job = ledger.at(State.DEAD, task="elsewhere")
    assert "does not know the task" in text(operator.get(edit_of(job)))
    operator.post(edit_of(job), {"args": "[1]", "kwargs": "{}", "confirmed": "yes"})
    assert ledger.row(job).args == "[1]"
