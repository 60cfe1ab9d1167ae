"""renew and leave: a worker's heartbeat, and its bid for the lead. No clock of a worker is in it."""

from __future__ import annotations

import math
from datetime import timedelta

import psycopg
import pytest
from django.db import connection, connections

from celeriac.ledger.database import statement
from celeriac.ledger.rows import Renewal
from tests.ledger_helpers import HOUR, Ledger, a_present, an_id
from tests.waiting import wait_until


def row(ledger, worker):
    return ledger.workers.get(id=worker.id)


class TestTheRow:
    def test_the_first_renewal_makes_it(self, ledger):
        me = a_present(hostname="ů@here", pid=12, pool="threads", concurrency=7, queues='["a"]', heartbeat=1.5)
        assert ledger.renew(me).made is True
        made = row(ledger, me)
        told = (made.hostname, made.pid, made.pool, made.concurrency, made.queues, made.stuck, made.heartbeat)
        assert told == ("ů@here", 12, "threads", 7, '["a"]', "[]", 1.5)
        assert (made.lock, made.started_at) == (me.lock, made.seen_at)
        assert abs((ledger.now() - made.seen_at).total_seconds()) < 60

    def test_the_next_ones_write_what_changed_and_when(self, ledger):
        me = a_present()
        ledger.renew(me)
        first = row(ledger, me)
        changed = {"queues": '["a", "b"]', "stuck": '["x"]', "concurrency": 3}
        assert ledger.renew(me._replace(**changed)).made is False
        then = row(ledger, me)
        assert {field: getattr(then, field) for field in changed} == changed
        assert then.started_at == first.started_at
        assert then.seen_at > first.seen_at
        assert ledger.workers.count() == 1

    def test_one_that_was_removed_is_made_again_and_that_is_said(self, ledger):
        me = a_present()
        ledger.renew(me)
        ledger.workers.all().delete()
        assert [ledger.renew(me).made for _ in range(2)] == [True, False]

    def test_each_worker_has_its_own(self, ledger):
        workers = [a_present() for _ in range(3)]
        assert [ledger.renew(worker).made for worker in workers] == [True] * 3
        assert set(ledger.workers.values_list("id", flat=True)) == {worker.id for worker in workers}

    def test_is_gone_with_its_worker(self, ledger):
        me, other = a_present(), a_present()
        ledger.renew(me)
        ledger.renew(other)
        ledger.leave(me.id)
        assert list(ledger.workers.values_list("id", flat=True)) == [other.id]
        ledger.leave(me.id)  # twice is once

    def test_nothing_of_a_job_is_moved(self, ledger):
        job, resting = ledger.running(), ledger.given()
        before = ledger.values(job), ledger.values(resting)
        ledger.renew(a_present(ledger.row(job).worker))
        ledger.leave(ledger.row(job).worker)
        assert (ledger.values(job), ledger.values(resting)) == before

    @pytest.mark.parametrize("key", [0, 1, 2**31, 2**63 - 1, 2**63, 2**64 - 1])
    def test_any_id_makes_a_lock_that_the_database_takes(self, ledger, key):
        me = a_present(type(an_id())(int=(key << 64) + 5))
        ledger.renew(me)
        assert (row(ledger, me).lock % 2**64, ledger.sightings()[me.id].ended) == (key, False)


class TestTheLead:
    def test_goes_to_the_first_who_bids(self, ledger):
        first, second = a_present(), a_present()
        assert ledger.renew(first) == Renewal(True, first.id, 1)
        assert ledger.renew(second)[:3] == (True, first.id, 1)

    def test_its_number_moves_with_each_renewal_of_the_leader_and_no_others(self, ledger):
        leader, other = a_present(), a_present()
        numbers = [ledger.renew(worker).number for worker in (leader, other, leader, other, other, leader)]
        assert numbers == [1, 1, 2, 2, 2, 3]
        assert ledger.lease == (leader.id, 3)

    def test_is_not_for_who_names_a_number_that_has_moved_on(self, ledger):
        leader, other = a_present(), a_present()
        old = ledger.renew(leader).number
        ledger.renew(leader)
        assert ledger.renew(other, stale=old)[:3] == (True, leader.id, old + 1)

    def test_is_taken_over_by_who_saw_the_number_stand_still(self, ledger):
        leader, other = a_present(), a_present()
        ledger.renew(leader)
        old = ledger.renew(other).number
        assert ledger.renew(other, stale=old) == Renewal(False, other.id, old + 1)
        assert ledger.renew(leader) == Renewal(False, other.id, old + 1)

    def test_of_several_that_saw_it_stand_still_one_takes_it(self, ledger):
        leader, others = a_present(), [a_present() for _ in range(3)]
        old = ledger.renew(leader).number
        found = [ledger.renew(other, stale=old) for other in others]
        assert [(renewal.holder, renewal.number) for renewal in found] == [(others[0].id, old + 1)] * 3

    def test_stays_with_a_leader_that_comes_back_before_anybody_took_it(self, ledger):
        leader, other = a_present(), a_present()
        old = ledger.renew(leader).number
        assert ledger.renew(leader).number == old + 1
        assert ledger.renew(other, stale=old).holder == leader.id

    def test_is_free_at_once_when_the_leaders_row_is_gone(self, ledger):
        leader, other = a_present(), a_present()
        number = ledger.renew(leader).number
        ledger.workers.filter(id=leader.id).delete()
        renewal = ledger.renew(other)
        assert renewal.holder == other.id
        assert renewal.number > number

    def test_is_free_at_once_when_the_leader_left(self, ledger):
        leader, other = a_present(), a_present()
        ledger.renew(leader)
        ledger.renew(other)
        ledger.leave(leader.id)
        assert ledger.renew(other).holder == other.id

    def test_is_not_lost_by_another_that_leaves(self, ledger):
        leader, other = a_present(), a_present()
        ledger.renew(leader)
        ledger.renew(other)
        ledger.leave(other.id)
        assert ledger.lease == (leader.id, 1)

    def test_has_numbers_that_never_come_again_even_when_its_leader_leaves(self, ledger):
        """Who saw number 1 of the one that left would take number 1 of the next for standing still."""
        leader, other, third = a_present(), a_present(), a_present()
        seen = ledger.renew(leader).number
        ledger.leave(leader.id)
        assert ledger.renew(other).number > seen
        assert ledger.renew(third, stale=seen).holder == other.id


class TestCancels:
    def test_a_running_job_of_ours_that_is_to_be_cancelled_is_told(self, ledger):
        job, _ = ledger.running(), ledger.running()
        me = a_present(ledger.row(job).worker)
        assert ledger.renew(me).cancels is False
        ledger.jobs.filter(id=job.id).update(cancel="ask")
        assert ledger.renew(me).cancels is True

    def test_one_of_another_worker_or_one_that_rests_is_not(self, ledger):
        job, resting = ledger.running(), ledger.given()
        ledger.jobs.filter(id__in=[job.id, resting.id]).update(cancel="TERM")
        assert ledger.renew(a_present()).cancels is False
        ledger.release(job)
        assert ledger.renew(a_present()).cancels is False


@pytest.fixture
def nameless(monkeypatch, ledger):
    """A project behind a pooler in transaction mode."""
    monkeypatch.setitem(connections[ledger.alias].settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)


def locks_held(present) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
            " AND ((classid::bigint << 32) | objid::bigint) = %s",
            [present.lock],
        )
        return int(cursor.fetchone()[0])


class TestTheLock:
    def test_is_held_by_the_session_that_renews_and_only_where_there_are_such_locks(self, ledger):
        me = a_present()
        ledger.renew(me)
        has_locks = connections[ledger.alias].vendor == "postgresql"
        assert row(ledger, me).locked is has_locks
        assert (row(ledger, me).server is not None) is has_locks

    def test_is_not_taken_through_a_pooler(self, ledger, nameless):
        me = a_present()
        ledger.renew(me)
        ledger.renew(me)
        assert row(ledger, me).locked is False
        assert ledger.alias != "default" or locks_held(me) == 0
        assert ledger.sightings()[me.id].ended is False

    @pytest.mark.django_db
    def test_is_taken_once_however_often_it_is_renewed(self):
        ledger, me = Ledger("default"), a_present()
        for _ in range(3):
            ledger.renew(me)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [me.lock])
            assert cursor.fetchone() == (True,)
        assert locks_held(me) == 0
        ledger.renew(me)
        assert (locks_held(me), row(ledger, me).locked) == (1, True)


class Session:
    """Another worker's session: what `renew` sends, sent by it."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)

    def renew(self, present, stale=None, *, may_lock=True):
        params = {**present._asdict(), "lock": present.lock, "may_lock": may_lock, "stale": stale}
        params |= {"settled": True, "settles": math.inf}
        return Renewal(*self.connection.execute(statement("renew"), params).fetchone())

    def ends(self, present) -> None:
        self.connection.close()
        wait_until(lambda: locks_held(present) == 0)


@pytest.fixture
def session(pg_dsn):
    opened = []

    def open_():
        opened.append(Session(pg_dsn))
        return opened[-1]

    yield open_
    for one in opened:
        one.connection.close()


@pytest.fixture
def postgresql(transactional_db):
    return Ledger("default")


class TestSessions:
    def test_a_leader_whose_session_ended_is_replaced_at_once(self, postgresql, session):
        leader, other, theirs = a_present(), a_present(), session()
        assert theirs.renew(leader).holder == leader.id
        assert postgresql.renew(other).holder == leader.id
        theirs.ends(leader)
        renewal = postgresql.renew(other)
        assert renewal == Renewal(False, other.id, 2, unseen=renewal.unseen)

    def test_who_renews_is_told_since_when_somebody_whose_session_ended_is_unseen(self, postgresql, session):
        dead, longer, me = a_present(), a_present(), a_present()
        assert postgresql.renew(me).unseen is None
        for one, seconds in ((dead, 60.0), (longer, HOUR)):
            theirs = session()
            theirs.renew(one)
            theirs.ends(one)
            postgresql.not_seen_for(one.id, seconds)
            assert postgresql.renew(me).unseen == pytest.approx(seconds, abs=30.0)
        session().renew(longer)  # it lives
        assert postgresql.renew(me).unseen == pytest.approx(60.0, abs=30.0)

    def test_a_newcomer_leaves_that_to_who_has_been_there_for_a_while(self, postgresql, session):
        leader, newcomer, theirs = a_present(), a_present(), session()
        theirs.renew(leader)
        theirs.ends(leader)
        assert postgresql.renew(newcomer, settled=False).holder == leader.id
        assert postgresql.renew(newcomer).holder == newcomer.id

    def test_or_takes_it_where_somebody_elses_session_tells_that_this_is_no_outage(self, postgresql, session):
        leader, other, theirs = a_present(), a_present(), session()
        theirs.renew(leader)
        session().renew(other)
        theirs.ends(leader)
        young, old = postgresql.renew(a_present(), settled=False, settles=HOUR), a_present()
        assert young.holder == leader.id
        assert 0.0 < young.held < HOUR
        assert postgresql.renew(old, settled=False, settles=0.0).holder == old.id

    def test_but_a_session_that_ended_tells_nothing(self, postgresql, session):
        leader, theirs = a_present(), session()
        theirs.renew(leader)
        theirs.ends(leader)
        renewal = postgresql.renew(a_present(), settled=False, settles=0.0)
        assert (renewal.holder, renewal.held) == (leader.id, 0.0)

    def test_nor_is_a_newcomers_word_taken_twice(self, postgresql, session):
        """Who has renewed before knows of outages that the sessions of others have survived."""
        leader, me, theirs = a_present(), a_present(), session()
        theirs.renew(leader)
        session().renew(a_present())
        assert postgresql.renew(me).held > 0.0
        theirs.ends(leader)
        renewal = postgresql.renew(me, settled=False, settles=0.0)
        assert (renewal.holder, renewal.held) == (leader.id, 0.0)

    def test_a_leader_whose_session_holds_is_not_however_old_its_row(self, postgresql, session):
        leader, other, theirs = a_present(), a_present(), session()
        theirs.renew(leader)
        postgresql.not_seen_for(leader.id, HOUR)
        assert postgresql.renew(other).holder == leader.id

    def test_a_leader_that_never_had_a_lock_is_not(self, postgresql, session):
        leader, other, theirs = a_present(), a_present(), session()
        theirs.renew(leader, may_lock=False)
        theirs.ends(leader)
        assert postgresql.renew(other).holder == leader.id

    def test_a_leader_whose_lock_another_server_took_is_not(self, postgresql, session):
        """After a restart of the server everybody's locks are gone, and nobody is dead."""
        leader, other, theirs = a_present(), a_present(), session()
        theirs.renew(leader)
        theirs.ends(leader)
        started = row(postgresql, leader).server
        postgresql.workers.filter(id=leader.id).update(server=started - timedelta(seconds=1))
        assert postgresql.renew(other).holder == leader.id
        assert postgresql.sightings()[leader.id].ended is False

    def test_a_worker_that_comes_back_with_another_session_is_there_again(self, postgresql, session):
        me, first, second = a_present(), session(), session()
        first.renew(me)
        first.ends(me)
        assert postgresql.sightings()[me.id].ended is True
        assert second.renew(me).made is False
        assert postgresql.sightings()[me.id].ended is False

    def test_while_its_old_session_lingers_a_worker_is_not_said_to_hold_the_lock(self, postgresql, session):
        """Or the end of the old one would look like the worker's."""
        me, lingering, fresh = a_present(), session(), session()
        lingering.renew(me)
        fresh.renew(me)
        assert row(postgresql, me).locked is False
        lingering.ends(me)
        assert postgresql.sightings()[me.id].ended is False
        fresh.renew(me)
        assert row(postgresql, me).locked is True

    def test_a_heartbeat_is_one_statement(self, postgresql, monkeypatch):
        sent = []
        execute = psycopg.Cursor.execute
        monkeypatch.setattr(psycopg.Cursor, "execute", lambda *args, **kw: sent.append(args[1]) or execute(*args, **kw))
        me = a_present()
        for stale in (None, 1):
            postgresql.renew(me, stale)
        assert sent == [statement("renew")] * 2
