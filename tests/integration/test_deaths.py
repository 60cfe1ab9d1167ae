"""Whoever would hear of a failure hears of a death too, and nobody dies of another's slowness."""

from __future__ import annotations

import pytest
from celery import chain, chord
from celery.exceptions import ChordError

from celeriac.errors import ConfigurationError
from tests.integration.looking import ended, lines, state
from tests.shop.celery import app
from tests.shop.tasks import add, errback, fleeting, noop, note, replace_in_atomic, sleep, total
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


def test_a_hard_limit_calls_the_errback_and_ends_the_chain(tmp_path):
    path = tmp_path / "notes"
    last = chain(sleep.si(30).set(time_limit=0.5), note.si(str(path), "never")).apply_async(
        link_error=errback.s(str(path))
    )
    assert state(last) == ("dead", "upstream")
    assert state(last.parent) == ("dead", "timeout")
    wait_until(lambda: len(lines(path)) == 1)
    assert f"new {last.parent.id} TimeLimitExceeded" in lines(path)[0]


def test_a_hard_limit_in_a_header_fails_the_chord():
    result = chord([noop.s(1), sleep.s(30).set(time_limit=0.5)], total.s())()
    with pytest.raises(ChordError, match="TimeLimitExceeded"):
        app.AsyncResult(result.id).get(timeout=15)


def test_many_that_were_thought_to_be_quick_do_not_share_one_limit():
    app.enqueue_many(noop.s(number) for number in range(1000))
    results = app.enqueue_many(sleep.s(0.03).set(time_limit=1) for _ in range(60))
    assert {row.state for row in ended(*results)} == {"succeeded"}


def test_a_replacement_survives_the_rollback_of_the_bodys_transaction():
    assert replace_in_atomic.delay().get(timeout=10) == 7


def test_a_call_for_a_broker_that_is_not_there_is_refused():
    with pytest.raises(ConfigurationError, match="CELERY_BROKER_URL"):
        fleeting.delay("nowhere", "never")
    with pytest.raises(ConfigurationError, match="durable=False"):
        add.apply_async((1, 2), durable=False)
