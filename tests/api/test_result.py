"""The result of a call is Celery's in all but when it makes its promise."""

import gc
import pickle
import weakref

import pytest
from celery.result import AsyncResult as Stock

from tests.shop.celery import app


def test_it_has_what_celerys_has():
    ours, stock = app.AsyncResult("an-id"), Stock("an-id", app=app)
    assert isinstance(ours, Stock)
    assert not hasattr(Stock, "on_ready")  # else a property of ours would hide it
    _ = ours.on_ready
    assert vars(ours) == {**vars(stock), "on_ready": ours.on_ready}


def test_it_takes_what_celerys_takes():
    parent = app.AsyncResult("before")
    ours = app.AsyncResult("an-id", backend=app.backend, task_name="shop.mail", app=app, parent=parent)
    assert (ours.id, ours.backend, ours.app, ours.parent) == ("an-id", app.backend, app, parent)
    with pytest.raises(ValueError, match="AsyncResult requires valid id"):
        app.AsyncResult(None)


def test_who_waits_for_its_end_is_told():
    result, told = app.AsyncResult("an-id"), []
    result.then(told.append)
    assert not told
    result._maybe_set_cache({"status": "SUCCESS", "result": 3, "children": []})
    assert told == [result]


def test_its_promise_does_not_keep_it():
    result = app.AsyncResult("an-id")
    assert result.on_ready is result.on_ready
    gone = weakref.ref(result)
    gc.disable()
    try:
        del result
        assert gone() is None
    finally:
        gc.enable()


def test_it_pickles():
    result = pickle.loads(pickle.dumps(app.AsyncResult("an-id", parent=app.AsyncResult("before"))))
    assert (type(result), result.id, result.parent.id) == (app.AsyncResult, "an-id", "before")
