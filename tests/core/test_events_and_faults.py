"""Events tell; faults wait for tests. Neither ever breaks what it is in."""

from __future__ import annotations

import logging

import pytest

from celeriac import events, faults


@pytest.fixture
def heard():
    told: list[tuple[str, dict]] = []
    subscriber = events.subscribe(lambda name, facts: told.append((name, facts)))
    yield told
    if subscriber in events._subscribers:
        events.unsubscribe(subscriber)


def test_a_subscriber_hears_what_happens_in_order(heard):
    events.emit("claim", jobs=[1], worker="w")
    events.emit("finish")
    assert heard == [("claim", {"jobs": [1], "worker": "w"}), ("finish", {})]


def test_nobody_listening_is_no_trouble():
    events.emit("claim", jobs=[])


def test_who_unsubscribed_hears_no_more(heard):
    events.unsubscribe(events._subscribers[-1])
    events.emit("claim")
    assert heard == []


def test_subscribing_is_a_decorator_and_unsubscribing_a_stranger_an_error():
    def subscriber(name, facts):
        raise AssertionError

    assert events.subscribe(subscriber) is subscriber
    events.unsubscribe(subscriber)
    with pytest.raises(ValueError, match=r"list\.remove"):
        events.unsubscribe(subscriber)


def test_a_subscriber_that_fails_is_logged_and_the_others_still_hear(heard, caplog):
    def broken(name, facts):
        raise RuntimeError("subscriber")

    events._subscribers.insert(0, broken)
    try:
        events.emit("finish", count=1)
    finally:
        events.unsubscribe(broken)
    assert heard == [("finish", {"count": 1})]
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "'finish'" in record.getMessage()
    assert record.exc_info[0] is RuntimeError


def test_a_point_does_what_was_armed_under_its_name_and_only_there():
    ran = []
    with faults.armed("a", lambda: ran.append("a")), faults.armed("b", lambda: ran.append("b")):
        for name in ("a", "b", "c", "a"):
            faults.point(name)
    assert ran == ["a", "b", "a"]


def test_a_point_nobody_armed_does_nothing():
    faults.point("a")
    assert not faults._armed


def test_what_an_armed_point_raises_reaches_the_code_and_disarms():
    class Crash(Exception):
        pass

    def crash():
        raise Crash

    with pytest.raises(Crash), faults.armed("a", crash):
        faults.point("a")
    faults.point("a")
