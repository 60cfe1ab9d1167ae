"""Many calls at once are what they would be one by one."""

from __future__ import annotations

import pytest
from django.db import transaction

from celeriac.api.many import Results
from celeriac.errors import PayloadError
from celeriac.ledger.models import Job
from tests.shop.celery import app
from tests.shop.keyed import by_key, in_turn
from tests.shop.tasks import add, noop

pytestmark = pytest.mark.django_db(transaction=True)

CALLS = {
    "alike": [noop.s(1), noop.s(2), noop.s(3)],
    "of two tasks": [noop.s(1), add.s(1, 2), noop.s(3), add.s(3, y=4)],
    "with options of their own": [noop.s(1), noop.s(2).set(priority=5, countdown=60), noop.s(3).set(queue="other")],
    "with links": [noop.s(1).set(link=noop.s(2)), noop.s(3).set(link=noop.s(4)), noop.s(5)],
    "with keys": [by_key.s(1), by_key.s(2), by_key.s(3)],
    "of lanes": [in_turn.s("a", "x", 1), in_turn.s("b", "y", 2)],
    "by name": [app.signature("elsewhere.task", (1,)), app.signature("elsewhere.task", (2,), {"a": 3})],
}


def rows(results):
    """Everything that the rows say, but their ids and times."""
    found = {str(row["id"]): row for row in Job.objects.values()}
    own = ("id", "created_at", "run_at", "headers")  # a link's id is in the headers
    return [
        {key: value for key, value in row.items() if key not in own} | {"links": "callbacks" in row["headers"]}
        for row in (found[result.id] for result in results)
    ]


@pytest.mark.parametrize("calls", CALLS.values(), ids=CALLS)
def test_their_rows_are_those_of_single_calls(calls):
    with transaction.atomic():
        together = rows(app.enqueue_many(calls))
        Job.objects.all().delete()
        assert together == rows([call.apply_async() for call in calls])


def test_links_have_an_id_for_each_call():
    """Asking for a callback twice, after a crash, is asking once; two calls are two."""
    app.enqueue_many([noop.s(n).set(link=noop.s(0)) for n in range(2)])
    assert len(set(Job.objects.values_list("headers", flat=True))) == 2


def test_a_refused_argument_names_itself_and_leaves_no_row():
    with pytest.raises(PayloadError, match="Argument 'value'"):
        app.enqueue_many([noop.s(1), noop.s(2), noop.s(object())])
    assert Job.objects.count() == 0


def test_the_results_are_a_sequence():
    results = app.enqueue_many(noop.s(n) for n in range(5))
    ids = [str(id_) for id_ in Job.objects.order_by("id").values_list("id", flat=True)]
    assert [result.id for result in results] == ids
    assert (len(results), results[0].id, results[-1].id) == (5, ids[0], ids[4])
    assert [result.id for result in results[1:3]] == ids[1:3]
    assert results[2] in results
    with pytest.raises(IndexError):
        results[5]


def test_what_is_in_no_ledger_keeps_its_place():
    left = app.AsyncResult("left")
    results = Results(app, ["first", "last"], [None, True], {1: left})
    assert [result.id for result in results] == [results[n].id for n in range(3)] == ["first", "left", "last"]
    assert (results[1] is left, results[0].ignored, results[2].ignored) == (True, None, True)


def test_eager_calls_are_run_in_their_order():
    app.conf.task_always_eager = True
    try:
        assert [result.get() for result in app.enqueue_many(add.s(n, 1) for n in range(3))] == [1, 2, 3]
    finally:
        app.conf.task_always_eager = False
    assert Job.objects.count() == 0
