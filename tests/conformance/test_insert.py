"""insert: nothing → ready, scheduled or waiting; an id already there is asked once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from django.db import DatabaseError, IntegrityError, connections, transaction

from celeriac.ledger.ids import new_id
from celeriac.ledger.models import Edge
from tests.ledger_helpers import HOUR, a_job, an_id

ODD = "žluťoučký 🥕 \\u0000 \\ud800 ' \" % %s {} \t"


def seconds_from_now(ledger, when) -> float:
    return (when - ledger.now()).total_seconds()


def test_a_job_is_ready_at_once_and_holds_what_was_asked(ledger):
    job = a_job(priority=7, args='["a"]', kwargs='{"b": 1}', headers='{"c": 2}', attempt=3)
    assert ledger.insert(job) == 1
    row = ledger.row(job)
    assert (row.id, row.task, row.queue, row.priority) == (job.id, "shop.noop", "q", 7)
    assert (row.args, row.kwargs, row.headers, row.attempt) == ('["a"]', '{"b": 1}', '{"c": 2}', 3)
    assert (row.state, row.reason, row.claim_no, row.losses, row.waits_for) == ("ready", "", 0, 0, 0)
    assert (row.worker, row.started_at, row.finished_at, row.expires_at, row.result) == (None,) * 5
    assert -60 < seconds_from_now(ledger, row.created_at) <= 0
    assert -60 < seconds_from_now(ledger, row.run_at) <= 0


def test_no_jobs_are_no_rows(ledger):
    assert ledger.insert() == 0


@pytest.mark.parametrize("batch", [1, 2])
def test_text_comes_back_exactly(ledger, batch):
    jobs = [a_job(task=f"úkol.{n} 🥕", queue=f"fronta-ž{n}", args=f'["{ODD}"]', headers=ODD) for n in range(batch)]
    ledger.insert(*jobs)
    for job in jobs:
        row = ledger.row(job)
        assert (row.task, row.queue, row.args, row.headers) == (job.task, job.queue, job.args, job.headers)


@pytest.mark.parametrize("others", [0, 2])
def test_an_id_already_there_is_left_alone(ledger, others):
    job = ledger.given(args='["first"]')
    before = ledger.values(job)
    more = [a_job() for _ in range(others)]
    assert ledger.insert(job._replace(args='["second"]', queue="other", delay=HOUR), *more) == others
    assert ledger.values(job) == before
    ledger.balances(inserted=1 + others)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("wanted", [{}, {"delay": HOUR}, {"headers": '{"c": 2}'}])
def test_a_fresh_id_is_inserted_without_a_look_for_another(ledger, batch, wanted):
    jobs = [a_job(fresh=True, args=f"[{number}]", **wanted) for number in range(batch)]
    assert ledger.insert(*jobs) == batch
    assert ledger.row(jobs[-1]).args == f"[{batch - 1}]"
    ledger.balances(inserted=batch)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_fresh_id_that_is_there_after_all_is_an_error_and_no_silence(ledger, batch):
    job = ledger.given(args='["first"]')
    before = ledger.values(job)
    with pytest.raises(IntegrityError), transaction.atomic(using=ledger.alias):
        ledger.insert(*(a_job(fresh=True) for _ in range(batch - 1)), job._replace(args='["second"]', fresh=True))
    assert ledger.values(job) == before
    ledger.balances(inserted=1)


def test_a_fresh_id_beside_one_that_is_there(ledger):
    there = ledger.given()
    assert ledger.insert(there, a_job(fresh=True)) == 1
    ledger.balances(inserted=2)


@pytest.mark.parametrize("state", ["waiting", "scheduled", "running", "succeeded", "dead", "cancelled"])
def test_an_id_already_there_is_left_alone_wherever_it_stands(ledger, state):
    job = ledger.at(state)
    before = ledger.values(job)
    assert ledger.insert(a_job(id=job.id, args='["again"]')) == 0
    assert ledger.values(job) == before


def test_an_id_twice_in_one_batch_is_one_row_with_the_first_content(ledger):
    job = a_job(args='["first"]')
    assert ledger.insert(job, a_job(), job._replace(args='["second"]')) == 2
    assert ledger.row(job).args == '["first"]'


@pytest.mark.parametrize("others", [0, 2])
def test_a_replaced_job_takes_the_content_that_comes_back_under_its_id(ledger, others):
    old = ledger.given(reason="replaced", args='["old"]')
    before = ledger.row(old)
    new = a_job(
        id=old.id, task="shop.new", queue="new", priority=3, args='["new"]', kwargs='{"a":1}', headers='{"h":1}'
    )
    more = [a_job() for _ in range(others)]
    assert ledger.insert(new, *more) == 1 + others
    row = ledger.row(old)
    assert (row.task, row.queue, row.priority, row.args) == ("shop.new", "new", 3, '["new"]')
    assert (row.kwargs, row.headers, row.state, row.reason) == ('{"a":1}', '{"h":1}', "ready", "")
    assert (row.created_at, row.claim_no) == (before.created_at, before.claim_no)
    # It was replaced once; what comes under the id later is a repetition.
    assert ledger.insert(new._replace(args='["late"]')) == 0
    assert ledger.row(old).args == '["new"]'


def test_a_replaced_job_may_come_back_to_wait(ledger):
    later, waiting = ledger.given(reason="replaced"), ledger.given(reason="replaced")
    ledger.insert(a_job(id=later.id, delay=HOUR), a_job(id=waiting.id, waits_for=2))
    assert (ledger.state(later), ledger.state(waiting)) == ("scheduled", "waiting")
    assert ledger.row(waiting).waits_for == 2


@pytest.mark.parametrize("batch", [1, 2])
class TestTime:
    """Both ways to insert: the single statement and the set-based one."""

    def insert(self, ledger, batch, **fields):
        jobs = [a_job(**fields) for _ in range(batch)]
        assert ledger.insert(*jobs) == batch
        return ledger.row(jobs[0])

    def test_a_countdown_schedules_from_the_databases_now(self, ledger, batch):
        row = self.insert(ledger, batch, delay=HOUR)
        assert row.state == "scheduled"
        assert HOUR - 60 < seconds_from_now(ledger, row.run_at) <= HOUR

    def test_fractions_of_a_second_count(self, ledger, batch):
        assert self.insert(ledger, batch, delay=0.25).state == "scheduled"

    @pytest.mark.parametrize("delay", [0.0, -HOUR])
    def test_a_countdown_that_is_over_is_ready(self, ledger, batch, delay):
        assert self.insert(ledger, batch, delay=delay).state == "ready"

    def test_an_eta_is_kept_to_the_microsecond_and_wins_over_a_countdown(self, ledger, batch):
        eta = datetime(2199, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
        row = self.insert(ledger, batch, run_at=eta, delay=-HOUR)
        assert (row.state, row.run_at) == ("scheduled", eta)

    def test_an_eta_in_the_past_is_ready_and_keeps_its_place_in_the_line(self, ledger, batch):
        eta = datetime(2001, 1, 2, 3, 4, 5, tzinfo=UTC)
        row = self.insert(ledger, batch, run_at=eta)
        assert (row.state, row.run_at) == ("ready", eta)

    def test_expiry_counts_from_the_databases_now(self, ledger, batch):
        row = self.insert(ledger, batch, expires_in=HOUR)
        assert HOUR - 60 < seconds_from_now(ledger, row.expires_at) <= HOUR

    def test_an_expiry_moment_wins_over_a_duration(self, ledger, batch):
        moment = datetime(2199, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert self.insert(ledger, batch, expires_at=moment, expires_in=1.0).expires_at == moment

    def test_a_wrong_clock_on_this_host_changes_nothing(self, ledger, batch):
        if connections[ledger.alias].vendor == "sqlite":
            pytest.skip("SQLite has no clock but ours")
        with mock.patch("celeriac.ledger.database.timezone.now", return_value=datetime(2001, 1, 1, tzinfo=UTC)):
            row = self.insert(ledger, batch, delay=60.0, expires_in=HOUR)
        assert row.state == "scheduled"
        assert 0 < seconds_from_now(ledger, row.run_at) <= 60
        assert HOUR - 60 < seconds_from_now(ledger, row.expires_at) <= HOUR

    def test_what_waits_is_waiting_whenever_it_is_due(self, ledger, batch):
        assert self.insert(ledger, batch, waits_for=1).state == "waiting"
        assert self.insert(ledger, batch, reason="event", delay=HOUR).state == "waiting"


def test_jobs_of_one_transaction_keep_their_order(ledger):
    jobs = [a_job() for _ in range(5)]
    with transaction.atomic(using=ledger.alias):
        for job in jobs:
            ledger.insert(job)
    assert [job.id for job in ledger.claim()] == [job.id for job in jobs]


@pytest.mark.parametrize("batch", [1, 2])
def test_the_server_may_bind_the_parameters(ledger, monkeypatch, batch):
    """As DATABASES[…]["OPTIONS"]["server_side_binding"] asks for."""
    connection = connections[ledger.alias]
    if connection.vendor != "postgresql":
        pytest.skip("an option of PostgreSQL")
    from django.db.backends.postgresql.base import ServerBindingCursor

    connection.ensure_connection()
    monkeypatch.setattr(connection.connection, "cursor_factory", ServerBindingCursor)
    jobs = [a_job(delay=HOUR, expires_in=HOUR) for _ in range(batch)]
    assert ledger.insert(*jobs) == batch
    assert [ledger.state(job) for job in jobs] == ["scheduled"] * batch


def test_thousands_are_inserted_in_batches(ledger):
    assert ledger.insert(*(a_job() for _ in range(2345))) == 2345
    ledger.balances(inserted=2345)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("wrong", [{"priority": 10}, {"priority": -1}, {"waits_for": -1}])
def test_what_a_check_refuses_is_an_error_and_no_silence(ledger, wrong, batch):
    with pytest.raises(DatabaseError), transaction.atomic(using=ledger.alias):
        ledger.insert(*(a_job(**wrong) for _ in range(batch)))
    ledger.balances(inserted=0)


def test_a_text_too_long_is_an_error_and_not_cut(ledger):
    if connections[ledger.alias].vendor == "sqlite":
        pytest.skip("SQLite knows no lengths")
    with pytest.raises(DatabaseError), transaction.atomic(using=ledger.alias):
        ledger.insert(a_job(queue="q" * 201))
    ledger.balances(inserted=0)


class TestWaitingForParents:
    def test_the_edges_are_kept_in_order(self, ledger):
        parents = [an_id() for _ in range(5)][::-1]
        child = a_job()
        assert ledger.insert_waiting(child, parents)
        row = ledger.row(child)
        assert (row.state, row.waits_for) == ("waiting", 5)
        edges = Edge.objects.using(ledger.alias).filter(child_id=child.id).order_by("position")
        assert [edge.parent for edge in edges] == parents

    def test_asking_twice_is_asking_once(self, ledger):
        parent = a_job()
        [child] = ledger.children_of(parent.id)
        assert not ledger.insert_waiting(child, [parent.id, an_id()])
        assert ledger.row(child).waits_for == 1
        assert Edge.objects.using(ledger.alias).count() == 1

    def test_it_is_rolled_back_as_one(self, ledger):
        child, parent = a_job(), an_id()
        with pytest.raises(DatabaseError), transaction.atomic(using=ledger.alias):
            ledger.insert_waiting(child, [parent, parent])  # an edge is unique
        assert ledger.values(child) is None


def test_new_ids_made_in_a_row_sort_by_time():
    assert new_id()[:8] <= new_id()[:8]


def test_a_past_expiry_is_still_a_row(ledger):
    job = ledger.given(expires_at=datetime.now(UTC) - timedelta(days=1))
    assert ledger.state(job) == "ready"
    assert ledger.claim() == []


FORMS = {
    "plain": {},
    "later": {"delay": HOUR},
    "at": {"run_at": datetime(2100, 1, 1, tzinfo=UTC)},
    "expires": {"expires_at": datetime(2100, 1, 1, tzinfo=UTC)},
    "expires in": {"expires_in": HOUR},
    "waits": {"waits_for": 2},
    "has a reason": {"reason": "event"},
    "has a key": {"key": "k"},
    "has a lane": {"lane": "l", "reason": "exclusive"},
    "is urgent, and a retry": {"priority": 9, "attempt": 3, "headers": '{"shadow":"s"}'},
}


@pytest.mark.parametrize("fields", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("mate", [{}, {"queue": "other"}], ids=["alike", "unlike"])
def test_a_job_is_the_same_row_alone_and_in_company(ledger, fields, mate):
    """There are statements for one, for many that are alike and for any."""
    said = {"args": f'["{ODD}"]', "kwargs": '{"a":1}', **fields}
    alone, first, last = a_job(**said), a_job(**said), a_job(**said)
    assert ledger.insert(alone) == 1
    assert ledger.insert(first, a_job(**{**said, "args": "[2]", **mate}), last) == 3
    rows = [ledger.values(job) for job in (alone, first, last)]
    times = ("created_at", "run_at", "expires_at")
    moments = [[row.pop(name) for name in times] for row in rows]
    assert len({row.pop("id") for row in rows}) == 3
    assert rows[0] == rows[1] == rows[2]
    for name, *values in zip(times, *moments, strict=True):
        assert len({value is None for value in values}) == 1, name
        assert values[0] is None or max(values) - min(values) < timedelta(minutes=1), name


def test_text_of_another_encoder_may_have_line_feeds(ledger):
    """Those that are alike travel as lines."""
    jobs = [a_job(args="[\n  1\n]", kwargs=f'{{"a": {n}}}') for n in range(3)]
    assert ledger.insert(*jobs) == 3
    assert [ledger.row(job).args for job in jobs] == ["[\n  1\n]"] * 3
    assert [ledger.row(job).kwargs for job in jobs] == ['{"a": 0}', '{"a": 1}', '{"a": 2}']
