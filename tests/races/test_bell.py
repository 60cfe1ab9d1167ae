"""The bell: after the commit, never before, and no ring lost in flight."""

from __future__ import annotations

import socket
import threading

import psycopg
import pytest
from django.db import connections, transaction
from django.db.utils import OperationalError

from celeriac import faults
from celeriac.ledger import bell, doorbell, prepared
from celeriac.ledger.database import execute
from tests.ledger_helpers import a_job
from tests.races.conftest import PATIENCE
from tests.shop.celery import app
from tests.waiting import wait_until


@pytest.fixture
def elsewhere(pg_dsn):
    """Tell that something ended, as another process would."""
    with psycopg.connect(pg_dsn, autocommit=True) as connection:
        yield lambda: connection.execute("SELECT pg_notify(%s, '')", [bell.DONE])


def test_it_rings_after_the_commit_and_not_before(ledger, actor, heard):
    view = actor()
    view.begins()
    view.does(ledger.insert, a_job(queue="committed"))
    view.does(bell.ring_on_commit, ["committed"])
    bell.ring_ready(["before"])
    assert heard("before") == ["before"]
    view.commits()
    assert heard("committed") == ["committed"]
    assert len(ledger.claim(queue="committed")) == 1


def test_a_rolled_back_transaction_rings_nothing(ledger, actor, heard):
    view = actor()
    view.begins()
    view.does(ledger.insert, a_job(queue="never"))
    view.does(bell.ring_on_commit, ["never"])
    view.rolls_back()
    bell.ring_ready(["after"])
    assert heard("after") == ["after"]
    ledger.balances(inserted=0)


def test_outside_a_transaction_it_rings_at_once(heard, transactional_db):
    bell.ring_on_commit(["now"])
    assert heard("now") == ["now"]


def test_who_commits_by_hand_may_ask_too(ledger, heard):
    """Django runs no hook after such a commit, so the bell is early: who hears it finds the job at a later look."""
    connection = connections["default"]
    connection.set_autocommit(False)
    try:
        app.send_task("tests.shop.tasks.noop", queue="by hand")
        assert heard("by hand") == ["by hand"]
        connection.commit()
    finally:
        connection.set_autocommit(True)
    assert len(ledger.claim(queue="by hand")) == 1


def test_a_bell_that_breaks_does_not_undo_what_was_asked(ledger, caplog):
    def breaks():
        raise RuntimeError("can't start new thread")

    with faults.armed("bell.before_ring", breaks):
        app.send_task("tests.shop.tasks.noop", queue="all the same")
        with transaction.atomic():
            app.send_task("tests.shop.tasks.noop", queue="all the same")
    assert len(ledger.claim(limit=3, queue="all the same")) == 2
    assert [record.message for record in caplog.records].count(bell.UNRUNG) == 2


def test_a_ring_while_the_last_notify_is_in_flight_is_not_lost(heard, monkeypatch):
    in_flight, go = threading.Event(), threading.Event()
    execute = bell.execute

    def gate(*args):
        result = execute(*args)
        in_flight.set()
        go.wait(PATIENCE)
        return result

    monkeypatch.setattr(bell, "execute", gate)
    bell.ring_ready(["first"])
    assert in_flight.wait(PATIENCE)
    bell.ring_ready(["second"])
    go.set()
    assert heard("second") == ["first", "second"]


def test_nobody_elses_commit_is_off_the_disk_for_it(heard, transactional_db):
    """What spares the NOTIFY the wait for the disk ends with its transaction, whoever has the session next."""
    connection = connections["default"]
    for _ in range(2):
        execute("ring", {"channel": f"{{{bell.READY}}}", "payload": "{once}"}, connection)
        assert heard("once") == ["once"]
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            assert cursor.fetchone() == ("on",)
        prepared.pin(connection, "ring")
    connection.close()  # no other test's plans are to be chosen by that


def test_what_was_rung_is_sent_before_a_program_ends(heard, transactional_db):
    bell.ring_ready(["last"])
    bell.close()
    assert heard("last") == ["last"]


def test_a_database_that_is_away_does_not_keep_a_program_from_its_end(monkeypatch, transactional_db):
    failed = threading.Event()

    def away(self, connection):
        failed.set()
        raise OperationalError("away")

    monkeypatch.setattr(bell._Ringer, "_send", away)
    bell.ring_ready(["last"])
    ringer = bell._ringer
    assert failed.wait(PATIENCE)
    bell.close()
    assert not ringer.is_alive()


def test_many_rings_become_one(heard, monkeypatch):
    held, go = threading.Event(), threading.Event()
    round_ = bell._Ringer._round

    def slow_round(self, *args):
        held.set()
        go.wait(PATIENCE)
        return round_(self, *args)

    monkeypatch.setattr(bell._Ringer, "_round", slow_round)
    bell.ring_ready(["a"])
    assert held.wait(PATIENCE)
    for _ in range(50):
        bell.ring_ready(["a", "b"])
    bell.ring_ready(["last"])
    go.set()
    assert heard("last") == ["a", "b", "last"]


class TestWaitingForAnEnd:
    def test_that_came_before_anybody_listened_ends_the_wait(self, actor, slow_poll, elsewhere):
        mark = bell.end_mark()
        elsewhere()  # between the look and the wait, while this process does not listen yet
        actor().does(bell.wait_for_end, None, mark)

    def test_that_came_between_look_and_wait_ends_the_wait(self, actor, slow_poll, elsewhere):
        waiter = actor()
        waiter.does(bell.wait_for_end, None, bell.end_mark())  # from now on this process listens
        mark = bell.end_mark()
        elsewhere()
        waiter.does(bell.wait_for_end, None, mark)

    def test_that_comes_during_the_wait_ends_it(self, actor, slow_poll, elsewhere):
        waiter = actor()
        waiter.does(bell.wait_for_end, None, bell.end_mark())
        waiting = waiter.starts(bell.wait_for_end, None, bell.end_mark())
        wait_until(lambda: bell._ringer.waiters == 1)
        assert not waiting.done()
        elsewhere()
        waiting.result(PATIENCE)

    def test_that_does_not_come_ends_with_its_time(self, actor, slow_poll, transactional_db):
        waiter = actor()
        waiter.does(bell.wait_for_end, None, bell.end_mark())
        waiter.does(bell.wait_for_end, 0.05, bell.end_mark())

    def test_of_this_process_is_heard_too(self, actor, slow_poll, transactional_db):
        waiter = actor()
        waiter.does(bell.wait_for_end, None, bell.end_mark())
        waiting = waiter.starts(bell.wait_for_end, None, bell.end_mark())
        wait_until(lambda: bell._ringer.waiters == 1)
        bell.ring_done()
        waiting.result(PATIENCE)

    def test_that_somebody_waits_for_while_a_ring_gathers_company_is_heard(
        self, actor, slow_poll, transactional_db, monkeypatch
    ):
        """The wake-up of whoever comes to wait ends the gathering, and must not end there."""
        monkeypatch.setattr(bell, "GATHER_SECONDS", 300.0)
        monkeypatch.setattr(bell, "IDLE_SECONDS", 300.0)
        bell.ring_done()
        wait_until(lambda: bell._ringer._sent > 0)
        bell.ring_done()
        wait_until(lambda: bell._ringer._gathering)
        # It is told of all that ended before the thread listened; a thread that does not listen tells nobody.
        actor().starts(bell.wait_for_end, None, bell.end_mark()).result(PATIENCE)


def test_two_who_ring_first_at_once_open_one_end(actor, monkeypatch):
    """Each has made a socket; the one that is not used is closed, not left to the collector."""
    doorbell.close()
    both, made, new = threading.Barrier(2), [], socket.socket

    def make(*args):
        mine = new(*args)
        made.append(mine)
        both.wait(PATIENCE)
        return mine

    monkeypatch.setattr(doorbell.socket, "socket", make)
    ends = [one.result(PATIENCE) for one in [actor().starts(doorbell._ringer) for _ in range(2)]]
    monkeypatch.undo()
    assert ends[0] is ends[1]
    assert sorted(end.fileno() >= 0 for end in made) == [False, True]
    assert doorbell._ringer() is ends[0]
