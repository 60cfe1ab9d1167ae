"""An operator mends what failed and sends it back to real workers: one job, a chord, with a canary, edited."""

from __future__ import annotations

import pytest
from celery import chain, chord
from django.db import transaction

from celeriac.api import operate
from celeriac.api.operate import By, Selection, Step
from celeriac.errors import NotSerializable, WrongArguments
from celeriac.ledger.audit import Action, Change
from celeriac.ledger.models import Job
from tests.integration.looking import attempts, ended, job, lines, now, state
from tests.shop.celery import app
from tests.shop.tasks import hold, noop, note, together, until_cancelled
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

ADA = By("ada", "the disk is back", "code")
NOTES = "tests.shop.tasks.note"


@pytest.fixture
def shelf(tmp_path):
    """A file that cannot be written yet: its folder is missing."""
    return tmp_path / "shelf" / "notes"


def test_a_dead_job_is_replayed_and_succeeds(worker, shelf):
    failed = note.delay(str(shelf), "hello")
    assert state(failed) == ("dead", "failed")
    shelf.parent.mkdir()
    action = operate.replay(Selection.of(failed.id), ADA)
    assert (action.state, action.changed, action.actor) == ("done", 1, "ada")
    assert failed.get(timeout=10) == "hello"
    assert lines(shelf) == ["hello"]
    row = job(failed)
    assert (row.replays, row.claim_no, row.error) == (1, 2, None)
    assert [attempt.replay for attempt in attempts(failed)] == [0]


def test_the_rest_of_a_chain_comes_back_with_its_first_step(worker, shelf):
    last = chain(note.s(str(shelf), "hello"), together.s("and"), noop.s()).apply_async()
    second, first = last.parent, last.parent.parent
    assert state(first) == ("dead", "failed")
    wait_until(lambda: Job.objects.filter(state="dead", reason="upstream").count() == 2)
    shelf.parent.mkdir()
    action = operate.replay(Selection(task="tests.shop.tasks.together"), ADA)
    assert (action.changed, action.skipped) == (0, 1)
    assert "never ran" in action.note
    action = operate.replay(Selection(), ADA)
    assert (action.changed, action.skipped) == (1, 2)
    chained = first, second, last
    wait_until(lambda: {job(result).state for result in chained} == {"succeeded"}, 12.0)
    assert last.get(timeout=1) == second.get(timeout=1)


def test_a_chords_body_waits_for_a_header_that_is_replayed(worker, shelf, tmp_path):
    gate = tmp_path / "gate"
    body = chord([note.s(str(shelf), "one"), hold.s(str(gate))], together.s()).apply_async()
    failed = body.parent.results[0]
    assert state(failed) == ("dead", "failed")
    shelf.parent.mkdir()
    operate.replay(Selection.of(failed.id), ADA)
    ended(failed)
    assert job(failed).state == "succeeded"
    gate.touch()
    assert ended(body)[0].state == "succeeded"


def test_it_runs_with_other_arguments_which_are_kept(worker, shelf):
    failed = note.delay(str(shelf), text="hello")
    ended(failed)
    other = str(shelf.parent.parent / "notes")
    with pytest.raises(WrongArguments, match=r"note does not take these arguments: .*'text'"):
        operate.replay(Selection.of(failed.id), ADA, args=[other], kwargs={}, app=app)
    with pytest.raises(NotSerializable, match="'path'"):
        operate.replay(Selection.of(failed.id), ADA, args=[object()], app=app)
    with pytest.raises(ValueError, match="for one job"):
        operate.replay(Selection(task=NOTES), ADA, args=[other], app=app)
    assert not Action.objects.exists()
    operate.replay(Selection.of(failed.id), ADA, args=[other], app=app)
    assert failed.get(timeout=10) == "hello"
    assert lines(shelf.parent.parent / "notes") == ["hello"]
    [change] = Change.objects.all()
    assert change.diff == f'{{"path": ["{shelf}", "{other}"]}}'


def test_a_canary_that_dies_again_stops_it_and_the_leader_is_who_notices(worker, shelf):
    failed = [note.delay(str(shelf), str(n)) for n in range(20)]
    ended(*failed)
    action = operate.replay(Selection(task=NOTES), ADA, canary=True)
    assert (action.changed, action.stage) == (1, 1)
    # Nobody has moved it for long; a canary may also have died before its sender had looked.
    Action.objects.filter(state="open").update(moved_at=action.created_at.replace(year=2020))
    wait_until(lambda: Action.objects.get().state == "stopped", 12.0)
    action.refresh_from_db()
    assert (action.changed, Job.objects.filter(state="dead").count()) == (1, 20)
    assert "died again: FileNotFoundError" in action.note


def test_a_canary_that_lives_is_followed_by_all_by_the_leader(worker, shelf):
    failed = [note.delay(str(shelf), str(n)) for n in range(20)]
    ended(*failed)
    shelf.parent.mkdir()
    action = operate.replay(Selection(task=NOTES), ADA, canary=True)
    Action.objects.update(moved_at=action.created_at.replace(year=2020))
    wait_until(lambda: Action.objects.get().state == "done", 20.0)
    assert {row.state for row in ended(*failed)} == {"succeeded"}
    assert sorted(map(int, lines(shelf))) == list(range(20))


def test_many_are_begun_and_gone_on_with(worker, shelf):
    calls = app.enqueue_many(note.s(str(shelf), n) for n in range(1100))
    ended(*calls, timeout=30.0)
    action = operate.replay(Selection(task=NOTES), ADA)
    assert (action.state, action.matched, action.changed) == ("open", 1100, 0)
    assert operate.step(action) == Step.MOVED
    assert operate.go_on(action) == Step.OVER
    assert (action.state, action.changed) == ("done", 1100)


def test_discarded_and_cancelled_with_the_account_of_it(worker, shelf, tmp_path):
    failed, later = note.delay(str(shelf), "x"), noop.apply_async(countdown=3600)
    runs = until_cancelled.delay(str(tmp_path / "notes"))
    wait_until(lambda: lines(tmp_path / "notes"))
    ended(failed)
    discarded = operate.discard(Selection(task=NOTES), ADA)
    cancelled = operate.cancel(Selection(), ADA)
    assert (discarded.changed, cancelled.changed) == (1, 2)
    assert now(failed) == ("cancelled", "discarded")
    assert now(later) == ("cancelled", "revoked")
    assert ended(runs)[0].state == "succeeded"  # it heard, and came to its own end
    assert Change.objects.count() == 3


def test_a_signal_ends_the_process(worker, tmp_path):
    runs = hold.delay(str(tmp_path / "gate"), str(tmp_path / "notes"))
    wait_until(lambda: lines(tmp_path / "notes"))
    operate.cancel(Selection.of(runs.id), ADA, terminate=True)
    assert state(runs) == ("cancelled", "terminated")


def test_what_is_rolled_back_was_not_done(worker, shelf):
    failed = note.delay(str(shelf), "x")
    ended(failed)
    with transaction.atomic():
        operate.replay(Selection.of(failed.id), ADA)
        transaction.set_rollback(True)
    assert now(failed) == ("dead", "failed")
    assert not Action.objects.exists()


@pytest.mark.parametrize("rate", [0, -1, 0.0])
def test_a_rate_is_above_0(rate):
    with pytest.raises(ValueError, match="a second, above 0"):
        operate.replay(Selection(), ADA, rate=rate)


def test_an_action_can_be_stopped():
    action = operate.replay(Selection(), ADA)
    assert not operate.stop(action, ADA)
