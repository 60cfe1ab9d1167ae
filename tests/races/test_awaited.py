"""Ends ring for who waits: not for nobody, and not too late for who came just now."""

from __future__ import annotations

import pytest
from django.db import connections
from django.db.utils import OperationalError, ProgrammingError

from celeriac.ledger import awaited, bell
from celeriac.ledger.awaited import Notice
from celeriac.worker import flusher
from tests.ledger_helpers import Ledger, ending
from tests.races.conftest import PATIENCE
from tests.waiting import wait_until


@pytest.fixture
def connection(transactional_db):
    return connections["default"]


def notice() -> tuple[int, str] | None:
    """What the ledger says, and which transaction wrote it."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT number, xmin::text FROM celeriac_lease WHERE name = 'results'")
        return cursor.fetchone()


def ends(ledger: Ledger) -> bool:
    """End a job; whether the ledger says that somebody waits."""
    return ledger.finish(ending(ledger.running())).awaited


def test_an_end_that_nobody_waits_for_rings_for_nobody(ledger, heard):
    flusher._finish([ending(ledger.running())], [])
    bell.ring_ready(["last"])
    assert heard("last") == ["last"]


def test_an_end_that_somebody_waits_for_is_rung(ledger, connection, heard):
    Notice().give(connection)
    flusher._finish([ending(ledger.running())], [])
    assert heard("") == [""]


def test_a_wait_is_ended_by_an_end_that_was_told_for_it(ledger, actor, slow_poll):
    """The whole way, in one process: a wait begins, says so, and hears of an end in the ledger."""
    job = ledger.running()
    waiter = actor()
    waiter.does(bell.wait_for_end, None, bell.end_mark())  # it looks again once others know that it waits
    wait_until(lambda: bell._ringer._notice._look_at is None)  # and once more, for who did not know yet
    waiting = waiter.starts(bell.wait_for_end, None, bell.end_mark())
    wait_until(lambda: bell._ringer.waiters == 1)
    assert not waiting.done()
    flusher._finish([ending(job)], [])
    waiting.result(PATIENCE)


def test_a_notice_lapses(ledger, connection):
    assert not ends(ledger)
    Notice().give(connection)
    assert ends(ledger)
    with connection.cursor() as cursor:  # a second more: the number is a rounded one
        cursor.execute("UPDATE celeriac_lease SET number = number - %s WHERE name = 'results'", [awaited.SECONDS + 1])
    assert not ends(ledger)
    Notice().give(connection)
    assert ends(ledger)


def test_of_many_that_wait_one_writes(connection):
    Notice().give(connection)
    said = notice()
    for _ in range(5):
        Notice().give(connection)
    assert notice() == said


def test_who_goes_on_waiting_says_so_before_its_notice_lapses(connection, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(awaited.time, "monotonic", lambda: now)
    waiter = Notice()
    given = []
    for _ in range(60):
        if waiter.give(connection):
            given.append(now)
        now += 1.0
    assert given == [1000.0, 1010.0, 1020.0, 1030.0, 1040.0, 1050.0]
    # Two renewals may fail before who waits is forgotten.
    assert 3 * awaited.RENEW_SECONDS <= awaited.SECONDS


def test_an_end_on_its_way_when_somebody_comes_to_wait_is_found(ledger, actor, slow_poll, monkeypatch):
    """Its statement saw nobody, and it is committed after the waiter's look."""
    monkeypatch.setattr(awaited, "UNSEEN_SECONDS", 300.0)
    job = ledger.running()
    ender, waiter = actor(), actor()
    ender.begins()
    assert not ender.does(ledger.finish, ending(job)).awaited
    waiter.does(bell.wait_for_end, None, bell.end_mark())  # now others know that somebody waits
    mark = bell.end_mark()
    assert ledger.state(job) == "running"
    waiting = waiter.starts(bell.wait_for_end, None, mark)
    wait_until(lambda: bell._ringer.waiters == 1)
    ender.commits()
    assert not waiting.done()
    bell._ringer._notice._look_at = 0.0  # the time is up
    bell._ringer.listener.wake()
    waiting.result(PATIENCE)


def test_nobody_to_look_is_no_reason_to_look_for_ever(connection, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(awaited.time, "monotonic", lambda: now)
    waiter = Notice()
    assert waiter.rest(5.0) == 5.0
    waiter.give(connection)
    assert 0 < waiter.rest(5.0) <= awaited.UNSEEN_SECONDS
    assert not waiter.is_to_look()
    now += awaited.UNSEEN_SECONDS
    assert waiter.rest(5.0) == 0.0
    assert waiter.is_to_look()
    assert not waiter.is_to_look()
    assert waiter.rest(5.0) == 5.0


def test_who_may_not_write_polls_and_says_so_once(connection, monkeypatch, caplog):
    def refuses(*_):
        raise ProgrammingError("permission denied for table celeriac_lease")

    monkeypatch.setattr(awaited, "execute", refuses)
    monkeypatch.setattr(awaited, "RENEW_SECONDS", 0.0)
    waiter = Notice()
    assert waiter.give(connection)
    assert waiter.give(connection)
    [said] = [record.getMessage() for record in caplog.records]
    assert "polled" in said
    assert "permission denied" in said


def test_a_wait_during_an_outage_is_said_once_it_is_over(ledger, actor, slow_poll, monkeypatch):
    execute, failed = awaited.execute, []

    def away_once(*args):
        if not failed:
            failed.append(True)
            raise OperationalError("away")
        return execute(*args)

    monkeypatch.setattr(awaited, "execute", away_once)
    actor().does(bell.wait_for_end, None, bell.end_mark())
    assert failed
    assert ends(ledger)
