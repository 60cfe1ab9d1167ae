"""`self.once`: an effect elsewhere, had once in all the runs of a job, or known to be in doubt."""

from __future__ import annotations

import json
import pickle

import pytest
from django.db import OperationalError, connection, connections, transaction

from celeriac import InDoubt
from celeriac.api import once
from celeriac.api.enqueue import on_helper
from celeriac.errors import ClaimLost
from celeriac.ledger.ids import job_id
from celeriac.ledger.models import Effect, Job
from celeriac.ledger.verbs import finish, release, reschedule
from celeriac.worker.executor import run_job
from celeriac.worker.report import written
from tests.integration.looking import attempts, ended, lines, settings_env, state
from tests.ledger_helpers import Ledger
from tests.shop.celery import app
from tests.shop.effects import calls_another, named, pay, pay_atomically, pay_in_transaction, steps
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

FINE = ["", ""]
EFFECTS = settings_env(CELERY_IMPORTS=["tests.shop.effects"])
ANY_TASK = pytest.mark.parametrize("task", [pay, pay_in_transaction, pay_atomically], ids=lambda task: task.__name__)


@pytest.fixture(autouse=True)
def closed_helpers():
    """By Django's rules: with CONN_MAX_AGE 0 none is left open by `once` itself."""
    yield

    def none_left():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
                "AND query LIKE '%celeriac_effect%'"
            )
            return cursor.fetchone() == (0,)

    wait_until(none_left)  # the server takes a moment to see that it was left


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "notes")


def runs(result, **fields):
    """Run the job once, here, and write its end as a worker does; return how it ended."""
    [claimed] = Ledger("default").claim(1, "celery")
    assert claimed.id == job_id(result.id)
    done = run_job(app, claimed._replace(**fields), "here")
    end, story = written(done, 0.0)
    if end is not None:
        (finish if hasattr(end, "state") else reschedule)([end], [story] if story else [])
    return done


def charges(path):
    return [line for line in lines(path) if line.startswith("charge")]


def effects():
    return list(Effect.objects.order_by("id").values_list("name", "claim_no", "done", "result"))


class TestDone:
    @ANY_TASK
    def test_its_value_is_the_functions(self, path, task):
        result = task.delay(path, [FINE])
        runs(result)
        assert result.get() == {"charge": "ch_7"}
        assert charges(path) == [f"charge 7 usd {result.id}/charge"]
        assert effects() == [("charge", 1, True, '{"charge":"ch_7"}')]

    @ANY_TASK
    def test_a_retry_gets_the_recorded_value_and_calls_nobody(self, path, task):
        result = task.delay(path, [["", "retry"], ["", "retry"], FINE])
        for _ in range(3):
            runs(result)
        assert result.get() == {"charge": "ch_7"}
        assert len(charges(path)) == 1
        assert Job.objects.get().attempt == 2

    @pytest.mark.parametrize("task", [pay_in_transaction, pay_atomically])
    def test_it_is_recorded_though_the_bodys_transaction_is_rolled_back(self, path, task):
        result = task.delay(path, [["", "fail"]])
        runs(result)
        assert Job.objects.get().state == "dead"
        assert effects() == [("charge", 1, True, '{"charge":"ch_7"}')]

    def test_two_names_are_two_effects_with_keys_of_their_own(self, path):
        result = steps.delay(path)
        runs(result)
        assert result.get() == [result.id, f"{result.id}/first", f"{result.id}/second"]


class TestFailed:
    @ANY_TASK
    def test_an_exception_says_that_it_did_not_happen(self, path, task):
        result = task.delay(path, [["refuse", ""]])
        assert str(runs(result).error) == "no"
        assert effects() == []

    def test_it_passes_though_the_entry_cannot_be_removed(self, path, monkeypatch):
        def undo(*_):
            raise OperationalError("away")

        monkeypatch.setattr("celeriac.api.once.effects.undo", undo)
        assert str(runs(pay.delay(path, [["refuse", ""]])).error) == "no"
        assert effects() == [("charge", 1, False, None)]

    @ANY_TASK
    @pytest.mark.parametrize("how", ["time out", "late", "limit"])
    def test_a_doubtful_one_says_nothing(self, path, task, how):
        runs(task.delay(path, [[how, ""]]))
        assert effects() == [("charge", 1, False, None)]

    def test_a_value_that_cannot_be_kept_leaves_it_in_doubt(self, path):
        done = runs(pay.delay(path, [["unencodable", ""]]))
        assert "once('charge') of task tests.shop.effects.pay came to a value that cannot be kept" in str(done.error)
        assert effects() == [("charge", 1, False, None)]


class TestInDoubt:
    def again(self, task, path, doubt, how="time out", after="fail"):
        """Two runs: in the first the other side did not answer in time."""
        result = task.delay(path, [[how, after], FINE], doubt)
        [claimed] = Ledger("default").claim(1, "celery")
        run_job(app, claimed, "here")
        if task is pay_atomically:
            Job.objects.update(state="ready", finished_at=None)
        else:
            release([claimed])
        return result, runs(result)

    @ANY_TASK
    def test_it_is_raised_with_the_key_to_ask_with(self, path, task):
        result, done = self.again(task, path, "raise")
        error = done.error
        assert isinstance(error, InDoubt)
        assert (error.key, error.name) == (f"{result.id}/charge", "charge")
        assert error.begun_at == Effect.objects.get().begun_at
        assert f"Ask the other side for the key '{result.id}/charge', then record() or repeat()." in str(error)
        assert len(charges(path)) == 1
        with pytest.raises(InDoubt, match="Ask the other side") as told:
            result.get()
        with pytest.raises(RuntimeError, match="only the job's own run"):
            told.value.repeat()

    @ANY_TASK
    def test_what_the_other_side_says_happened_is_recorded(self, path, task):
        result, _ = self.again(task, path, "record")
        assert result.get() == "said so"
        assert effects() == [("charge", 2, True, '"said so"')]
        assert len(charges(path)) == 1

    @ANY_TASK
    def test_what_the_other_side_does_not_know_is_repeated_with_the_same_key(self, path, task):
        result, _ = self.again(task, path, "repeat")
        assert result.get() == {"charge": "ch_7"}
        assert charges(path) == [f"charge 7 usd {result.id}/charge"] * 2
        assert effects() == [("charge", 2, True, '{"charge":"ch_7"}')]

    def test_it_survives_a_pickle_without_its_call(self, path):
        _, done = self.again(pay, path, "raise")
        copy = pickle.loads(pickle.dumps(done.error))
        assert (copy.key, copy.name, copy.begun_at) == (done.error.key, "charge", done.error.begun_at)


class TestAnotherRunHasTheJob:
    def test_nothing_is_begun(self, path):
        pay.delay(path, [FINE])
        [claimed] = Ledger("default").claim(1, "celery")
        done = run_job(app, claimed._replace(claim_no=0), "here")
        assert isinstance(done.error, ClaimLost)
        assert charges(path) == []

    def test_what_happened_meanwhile_stays_in_doubt(self, path, monkeypatch):
        pay.delay(path, [FINE])
        [claimed] = Ledger("default").claim(1, "celery")
        monkeypatch.setattr("tests.shop.effects.Stripe.charge", lambda *_, **__: release([claimed]))
        assert isinstance(run_job(app, claimed, "here").error, ClaimLost)
        assert effects() == [("charge", 1, False, None)]


class TestOutsideOfAJob:
    def test_a_function_just_calls(self, path):
        assert steps(path)[0] is None
        assert lines(path) == ["None", "None"]
        assert effects() == []

    def test_eager_it_has_the_calls_id(self, path):
        assert steps.apply((path,), task_id="mine").get() == ["mine", "mine/first", "mine/second"]
        assert effects() == []

    def test_inside_of_another_job_it_is_not_that_jobs(self, path):
        result = calls_another.delay(path)
        runs(result)
        assert result.get()[1] == ["eager", "eager/first", "eager/second"]
        assert effects() == []


class TestTheKey:
    def test_is_the_jobs_own_where_it_has_one(self, path):
        result = steps.delay(path)
        Job.objects.update(key="inv-7")
        runs(result)
        assert result.get()[:2] == ["tests.shop.effects.steps:inv-7", "tests.shop.effects.steps:inv-7/first"]

    def test_is_the_task_id_that_the_caller_made_up(self, path):
        result = steps.apply_async((path,), task_id="mine")
        runs(result)
        assert result.get()[0] == "mine"


def test_a_transaction_that_holds_the_jobs_own_row_is_told_so_and_does_not_hang(path, monkeypatch):
    monkeypatch.setattr("celeriac.api.once.LOCK_SECONDS", 1)
    monkeypatch.setattr("tests.shop.effects.note", lambda *_: Job.objects.select_for_update().get())
    monkeypatch.setattr("tests.shop.effects.lines_of", lambda _: [])
    done = runs(pay_in_transaction.delay(path, [FINE]))
    assert isinstance(done.error, OperationalError)
    assert "lock timeout" in str(done.error)
    assert effects() == []


@pytest.mark.parametrize("name", ["", "x" * 101])
def test_a_name_that_does_not_fit_is_refused(name):
    assert "1 to 100 characters" in str(runs(named.delay(name)).error)
    assert effects() == []


def test_a_broken_connection_while_the_other_side_is_asked_costs_no_record(path, monkeypatch):
    """The effect was had, and only this run knows."""

    def cut(*_, **__):
        with transaction.atomic(), connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            [pid] = cursor.fetchone()
        on_helper(_terminate, pid)
        return "charged"

    monkeypatch.setattr("tests.shop.effects.Stripe.charge", cut)
    pay.delay(path, [FINE])
    [claimed] = Ledger("default").claim(1, "celery")
    run_job(app, claimed, "here")
    connection.close()
    assert effects() == [("charge", 1, True, '"charged"')]


@ANY_TASK
def test_an_outage_after_the_call_is_waited_out(path, monkeypatch, task):
    failures = iter([OperationalError("away")] * 2)

    def done(*args, real=once.effects.done, **kwargs):
        for error in failures:
            raise error
        return real(*args, **kwargs)

    monkeypatch.setattr("celeriac.api.once.effects.done", done)
    result = task.delay(path, [FINE])
    runs(result)
    assert result.get() == {"charge": "ch_7"}
    assert list(failures) == []


def _terminate(pid):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    connection.close()


class TestARealWorker:
    @pytest.fixture(autouse=True)
    def worker(self, celery_worker_process):
        return celery_worker_process("tests.shop.celery", "-c", "1", env=EFFECTS)

    @ANY_TASK
    def test_killed_between_the_call_and_the_record_the_next_run_is_in_doubt(self, path, task):
        result = task.delay(path, [["die", ""], FINE])
        assert state(result) == ("dead", "in_doubt")
        key = f"{result.id}/charge"
        assert lines(path) == [
            *(f"run {result.id}", f"charge 7 usd {key}"),
            *(f"run {result.id}", f"in doubt charge {key}"),
        ]
        assert [attempt.kind for attempt in attempts(result)] == ["lost", "failed"]
        assert effects() == [("charge", 1, False, None)]

    @ANY_TASK
    def test_killed_after_the_record_the_next_run_has_the_value(self, path, task):
        result = task.delay(path, [["", "die"], FINE])
        assert [json.loads(row.result) for row in ended(result)] == [{"charge": "ch_7"}]
        assert len(charges(path)) == 1
        assert Job.objects.get().losses == 1

    def test_a_retry_has_the_value(self, path):
        result = pay.delay(path, [["", "retry"], FINE])
        assert result.get(timeout=10) == {"charge": "ch_7"}
        assert len(charges(path)) == 1
