"""What a task may declare of its failures, done by a real worker."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery.exceptions import TaskRevokedError
from django.utils import timezone

from celeriac.ledger.models import Job
from celeriac.ledger.verbs import expire
from celeriac.worker.deaths import expiry
from tests.integration.looking import attempts, ended, job, lines, settings_env, state
from tests.shop.celery import app
from tests.shop.failing import (
    by_hand,
    cancelling,
    discarding,
    for_a_while,
    not_for_gone,
    own_limit,
    picky,
    punctual,
    snoozing,
    stubborn_hook,
    unspeakable,
    verbose,
    watched,
)
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


@pytest.fixture(scope="module")
def worker_env():
    return settings_env(CELERY_IMPORTS=["tests.shop.failing"])


@pytest.fixture
def notes(tmp_path):
    return tmp_path / "notes"


def test_each_exception_has_its_own_policy(notes):
    result = picky.delay(str(notes), "down")
    assert state(result) == ("dead", "exhausted")
    assert lines(notes) == ["0", "1", "2"]
    assert [a.kind for a in attempts(result)] == ["retry", "retry", "failed"]


def test_what_has_no_policy_is_not_tried_again(notes):
    assert state(picky.delay(str(notes), "gone")) == ("dead", "failed")
    assert lines(notes) == ["0"]


def test_a_servers_retry_after_is_waited_for(notes):
    result = picky.delay(str(notes), "busy", 60)
    wait_until(lambda: job(result).state == "scheduled")
    row = job(result)
    assert 50 < (row.run_at - timezone.now()).total_seconds() <= 66
    assert row.failing_since is not None
    result.revoke()


def test_discard_on_ends_without_a_dead_letter(notes):
    result = discarding.delay(str(notes), "gone")
    assert state(result) == ("cancelled", "discarded")
    assert lines(notes) == ["0"]
    [story] = attempts(result)
    assert (story.kind, story.exception) == ("cancelled", "tests.shop.failing.Gone")
    with pytest.raises(TaskRevokedError, match="order 7"):
        result.get(timeout=10)


def test_discard_on_takes_nothing_from_autoretry(notes):
    assert state(discarding.delay(str(notes), "key")) == ("dead", "exhausted")
    assert lines(notes) == ["0", "1", "2", "3"]


def test_dont_autoretry_for_comes_first(notes):
    assert state(not_for_gone.delay(str(notes))) == ("dead", "failed")
    assert lines(notes) == ["0"]


def test_a_budget_of_time_is_the_only_limit_where_no_other_is_named(notes):
    result = for_a_while.delay(str(notes))
    row = ended(result)[0]
    assert (row.state, row.reason) == ("dead", "exhausted")
    tries = attempts(result)
    assert len(tries) > 4  # not the three retries that Celery takes where nothing is said
    assert tries[-1].started_at - tries[0].finished_at <= timedelta(seconds=2.6)
    assert tries[-1].finished_at - tries[0].finished_at >= timedelta(seconds=1.5)


def test_a_retry_by_hand_backs_off_too():
    result = by_hand.delay()
    assert result.get(timeout=10) == 1
    [story] = attempts(result)
    assert 0.19 <= (job(result).started_at - story.finished_at).total_seconds() < 2


def test_a_limit_given_by_hand_is_not_overruled_by_autoretry(notes):
    assert state(own_limit.delay(str(notes))) == ("dead", "exhausted")
    assert lines(notes) == ["0", "1"]


def test_one_calls_limit_is_no_other_calls(notes):
    for _ in range(2):
        assert state(own_limit.delay(str(notes))) == ("dead", "exhausted")
    assert not hasattr(app.tasks[own_limit.name], "override_max_retries")


def test_a_snooze_costs_no_attempt(notes):
    result = snoozing.delay(str(notes))
    assert result.get(timeout=10) == 0
    assert lines(notes) == ["0", "0", "0"]
    assert (job(result).attempt, attempts(result), job(result).failing_since) == (0, [], None)


def test_a_body_may_cancel_its_job():
    result = cancelling.delay("the order is gone")
    assert state(result) == ("cancelled", "cancelled")
    assert attempts(result)[0].message == "the order is gone"
    with pytest.raises(TaskRevokedError, match="the order is gone"):
        result.get(timeout=10)


def test_an_exception_that_cannot_be_kept_or_even_shown_is_a_death_like_any_other():
    result = unspeakable.delay()
    row = ended(result)[0]
    assert (row.state, row.reason, row.exception) == ("dead", "exhausted", "tests.shop.failing.Locked")
    assert [a.exception for a in attempts(result)] == ["tests.shop.failing.Locked"] * 2
    assert attempts(result)[-1].message == "<Locked without a text>"


def test_a_megabyte_of_traceback_is_cut_in_the_middle():
    result = verbose.delay()
    row = ended(result)[0]
    [story] = attempts(result)
    assert (row.state, row.exception) == ("dead", "ValueError")
    assert len(story.traceback) < 25_000
    assert story.traceback.startswith("Traceback")
    assert story.traceback.rstrip().endswith("xxx")
    assert len(row.error) < 1_100_000


def test_deaths_of_one_cause_have_one_fingerprint(tmp_path):
    results = [watched.delay(str(tmp_path / "watched"), f"host 10.0.0.{n} is down") for n in range(3)]
    prints = {row.fingerprint for row in ended(*results)}
    assert len(prints) == 1
    other = ended(stubborn_hook.delay(str(tmp_path / "other")))[0]
    assert other.fingerprint not in prints


def test_a_death_is_told_once_to_the_task_and_to_whoever_listens(tmp_path):
    path = tmp_path / "watched"
    result = watched.delay(str(path))
    row = ended(result)[0]
    wait_until(lambda: len(lines(path)) == 2)
    tellers = Job.objects.filter(task="celeriac.tell_of_death")
    wait_until(lambda: not tellers.exclude(state="succeeded").exists())
    assert lines(path) == [f"exhausted {row.exception} [1, 2]", "signal watched"]
    assert (tellers.count(), job(result).announced) == (1, True)


def test_a_job_may_be_dead_that_expired():
    """By the same function as the leader's, which would take its time here."""
    result = punctual.apply_async(expires=timezone.now() - timedelta(seconds=1), queue="nobody")
    expire(end=expiry(app.tasks))
    assert state(result) == ("dead", "expired")
    assert job(result).exception == "celery.exceptions.TaskRevokedError"
    with pytest.raises(TaskRevokedError, match="expired"):
        result.get(timeout=10)
