"""`atomic=True`: the effects of a body happen exactly once, whatever comes between."""

from __future__ import annotations

import json

import pytest
from celery import chain, chord
from django.db import connections
from django.db.models import F
from django.db.utils import OperationalError

from celeriac.ledger.models import Job
from celeriac.ledger.verbs import claim, release, reschedule
from celeriac.worker.executor import run_job
from celeriac.worker.report import written
from tests.integration.looking import attempts, ended, job, lines, settings_env, started, state
from tests.ledger_helpers import WORKER, stale
from tests.shop.atomic import flaky_sign_up, lengthen, rename_both, sign_up
from tests.shop.celery import app
from tests.shop.models import Customer
from tests.shop.tasks import errback, noop, note, total
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
ATOMIC = settings_env(CELERY_IMPORTS=["tests.shop.atomic"])


@pytest.fixture(scope="module")
def worker_env():
    return ATOMIC


def names() -> list[str]:
    return sorted(Customer.objects.values_list("name", flat=True))


# -- how a body may end


@pytest.mark.usefixtures("worker")
class TestEndings:
    def test_effect_and_end_are_there_together(self, tmp_path):
        path = tmp_path / "notes"
        result = sign_up.delay("Ada", "enqueue", str(path))
        assert result.get(timeout=10) == "Ada"
        assert names() == ["Ada"]
        wait_until(lambda: lines(path) == ["run", "enqueued"])

    def test_a_body_that_fails_leaves_its_story_its_errback_and_the_end_of_its_chain(self, tmp_path):
        path = tmp_path / "notes"
        steps = chain(sign_up.si("Ada", "fail after enqueueing", str(path)), note.si(str(path), "never"))
        last = steps.apply_async(link_error=errback.s(str(path)))
        assert state(last) == ("dead", "upstream")
        assert state(last.parent) == ("dead", "failed")
        [told] = attempts(last.parent)
        assert (told.kind, told.exception, told.message) == ("failed", "ValueError", "no")
        assert 'raise ValueError("no")' in told.traceback
        wait_until(lambda: len(lines(path)) == 2)
        assert lines(path)[0] == "run"
        assert lines(path)[1].startswith(f"new {last.parent.id} ValueError no")
        assert names() == []

    def test_a_retry_undoes_the_attempt_and_charges_it(self, tmp_path):
        path = tmp_path / "notes"
        result = sign_up.delay("Ada", "retry", str(path))
        assert result.get(timeout=10) == "Ada"
        assert lines(path) == ["run", "run"]
        assert names() == ["Ada"]
        assert [(told.kind, told.exception) for told in attempts(result)] == [("retry", "ConnectionError")]
        assert (job(result).attempt, job(result).claim_no) == (1, 2)

    def test_autoretry_is_around_the_savepoint(self):
        result, out = flaky_sign_up.delay("Ada", 2), flaky_sign_up.delay("Bob", 9)
        assert result.get(timeout=10) == 2
        assert state(out) == ("dead", "exhausted")
        assert names() == ["Ada"]

    @pytest.mark.parametrize(
        ("then", "end", "effects"),
        [
            ("ignore", ("succeeded", "ignored"), []),
            ("leave", ("dead", "failed"), []),
            ("return an object", ("dead", "unencodable"), []),
            ("swallow", ("dead", "failed"), []),
            ("close", ("dead", "failed"), []),
            ("idle", ("dead", "failed"), []),
            ("violate", ("dead", "failed"), []),
            ("say", ("succeeded", ""), ["Ada"]),
            ("tell badly", ("succeeded", ""), ["Ada"]),
        ],
    )
    def test_a_body_may_end_in_odd_ways(self, then, end, effects, worker):
        result = sign_up.delay("Ada", then)
        assert state(result) == end
        assert names() == effects
        assert (job(result).claim_no, job(result).losses) == (1, 0)
        assert [told.kind for told in attempts(result)] == (["failed"] if end[0] == "dead" else [])
        assert noop.delay(1).get(timeout=10) == 1

    def test_what_the_commit_refuses_is_a_failure_that_everybody_hears_of(self, tmp_path):
        path = tmp_path / "notes"
        steps = chain(sign_up.si("Ada", "violate", str(path)), note.si(str(path), "never"))
        last = steps.apply_async(link_error=errback.s(str(path)))
        assert state(last) == ("dead", "upstream")
        assert attempts(last.parent)[0].exception == "django.db.utils.IntegrityError"
        wait_until(lambda: len(lines(path)) > 1)
        assert "IntegrityError" in lines(path)[1]

    def test_a_body_that_is_replaced_leaves_nothing_but_its_replacement(self):
        assert sign_up.delay("Ada", "replace").get(timeout=10) == 7
        assert names() == []

    def test_on_commit_is_told_of_that_commit(self, tmp_path):
        path = tmp_path / "notes"
        result = sign_up.delay("Ada", "tell", str(path))
        ended(result)
        wait_until(lambda: lines(path) == ["run", "committed"])

    def test_a_header_counts_its_chord_down_once(self):
        result = chord([sign_up.s(name) for name in "abc"], noop.s())()
        assert result.get(timeout=10) == ["a", "b", "c"]
        assert names() == ["a", "b", "c"]
        assert chord([noop.s(1), noop.s(2)], total.s())().get(timeout=10) == 3


# -- what may come between


@pytest.mark.usefixtures("worker")
class TestInterruptions:
    @pytest.mark.parametrize("then", ["die", "die before the commit"])
    def test_a_process_that_is_killed_had_no_effect(self, then, tmp_path):
        path = tmp_path / "notes"
        result = sign_up.delay("Ada", then, str(path))
        assert result.get(timeout=15) == "Ada"
        assert lines(path) == ["run", "run"]
        assert names() == ["Ada"]
        assert (job(result).losses, job(result).attempt) == (1, 1)

    def test_of_two_that_lock_crosswise_both_succeed_uncharged(self, tmp_path):
        a, b, path = (str(tmp_path / name) for name in ("a", "b", "notes"))
        one, two = (Customer.objects.create(name=name, email="").pk for name in ("one", "two"))
        results = [rename_both.delay(one, two, a, b, path), rename_both.delay(two, one, b, a, path)]
        rows = ended(*results, timeout=20)
        assert {(row.state, row.attempt, row.claim_no) for row in rows} == {("succeeded", 0, 1)}
        assert len(lines(path)) == 3
        assert len(set(names())) == 1

    def test_a_claim_that_is_no_longer_ours_has_no_effect(self, tmp_path, worker):
        path, gate = tmp_path / "notes", tmp_path / "gate"
        result = sign_up.delay("Ada", "wait", str(path), str(gate))
        started(result)
        wait_until(lambda: lines(path))
        row = Job.objects.filter(id=result.id)
        row.update(claim_no=F("claim_no") + 1)
        gate.touch()
        worker.wait_for(f"Job {result.id} came from a claim that is no longer ours")
        assert names() == []
        assert (job(result).state, job(result).claim_no) == ("running", 2)
        row.update(state="ready", worker=None, started_at=None)
        ended(result)
        assert names() == ["Ada"]


def test_a_snapshot_that_grew_too_old_is_taken_again(celery_worker_process, database_env, tmp_path):
    path, gate = tmp_path / "notes", tmp_path / "gate"
    databases = json.loads(database_env["CELERIAC_TEST_DATABASES"])
    databases["default"]["OPTIONS"] = {"isolation_level": 3}  # REPEATABLE READ
    celery_worker_process(
        "tests.shop.celery", "-c", "1", "-Q", "own", env=ATOMIC | {"CELERIAC_TEST_DATABASES": json.dumps(databases)}
    )
    ada = Customer.objects.create(name="Ada", email="")
    result = lengthen.apply_async((ada.pk, str(path), str(gate)), queue="own")
    wait_until(lambda: lines(path))
    Customer.objects.update(name="Countess")
    gate.touch()
    assert state(result) == ("succeeded", "")
    assert (job(result).attempt, job(result).claim_no) == (0, 1)
    assert lines(path) == ["read", "read"]
    assert names() == ["Countess!"]


def test_a_commit_that_fails_with_its_database_is_tried_again(celery_worker_process, proxy, by_proxy, tmp_path):
    path, gate = tmp_path / "notes", tmp_path / "gate"
    proxy.open()
    worker = celery_worker_process("tests.shop.celery", "-c", "1", "-Q", "own", env=by_proxy | ATOMIC)
    result = sign_up.apply_async(("Ada", "wait at the commit", str(path), str(gate)), queue="own")
    wait_until(lambda: "start at the commit" in lines(path))
    proxy.cut()
    gate.touch()
    worker.wait_for("may not have been committed")
    assert names() == []
    proxy.open()
    assert ended(result, timeout=30)[0].state == "succeeded"
    assert names() == ["Ada"]
    assert lines(path).count("run") == 2
    assert (job(result).attempt, job(result).losses) == (0, 0)


# -- one run, in this process


@pytest.fixture
def asked():
    return sign_up.apply_async(("Ada",), queue="here")


@pytest.fixture
def claimed(asked):
    [found] = claim(WORKER, "here", 1)
    assert str(found.id) == asked.id
    yield found
    release([found])


def test_a_commit_whose_answer_was_lost_is_not_done_twice(asked, claimed, monkeypatch):
    connection = connections["default"]
    commit = connection.commit

    def lose_the_answer():
        commit()
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "commit", lose_the_answer)
        done = run_job(app, claimed, "here")
    back, told = written(done, 0.0)
    assert (back.charge, back.loss, back.delay, told) == (0, 0, 0.0, None)
    assert reschedule([back]) == []
    assert (job(asked).state, names()) == ("succeeded", ["Ada"])


def test_the_fence_undoes_a_body(asked, claimed, caplog):
    done = run_job(app, stale(claimed), "here")
    assert written(done, 0.0) == (None, None)
    assert (job(asked).state, names()) == ("running", [])
    assert "no longer ours" in caplog.text


def test_a_conflict_that_does_not_end_is_a_failure(asked, claimed, monkeypatch):
    runs = []

    def conflict(*_args, **_kwargs):
        runs.append(None)
        raise OperationalError("database is locked")

    monkeypatch.setattr(Customer, "save", conflict)
    monkeypatch.setattr("celeriac.worker.atomic.random.uniform", lambda low, high: 0.0)
    done = run_job(app, claimed, "here")
    assert written(done, 0.0) == (None, None)
    assert len(runs) == 6
    assert state(asked) == ("dead", "failed")
    assert [(told.number, told.exception) for told in attempts(asked)] == [(1, "django.db.utils.OperationalError")]


def test_a_job_that_cannot_be_decoded_is_dead_once(asked, claimed):
    done = run_job(app, claimed._replace(args="["), "here")
    assert written(done, 0.0) == (None, None)
    assert state(asked) == ("dead", "undecodable")


def test_an_eager_call_is_atomic_too():
    assert sign_up.apply(("Ada",)).get() == "Ada"
    assert isinstance(sign_up.apply(("Bob", "fail")).result, ValueError)
    with pytest.raises(ValueError, match="no"):
        sign_up("Eve", "fail")
    assert names() == ["Ada"]


@pytest.mark.parametrize("task", [sign_up, rename_both])
def test_a_task_that_is_bound_again_has_one_savepoint(task):
    kind = type(app.tasks[task.name])
    before = kind.run
    kind.bind(app)
    assert kind.run is before


# -- where it may not be


def test_a_worker_refuses_an_atomic_task_whose_data_is_elsewhere(celery_worker_process):
    worker = celery_worker_process("tests.shop.celery", env=ATOMIC | {"CELERIAC_TEST_ATOMIC": "lite"}, ready=None)
    worker.wait_for("celeriac: tests.shop.atomic.")
    assert "Set CELERIAC['DATABASE'] = 'lite', or atomic='default'" in worker.output
    assert worker.wait() != 0
