"""What the rest of a chain sees of a step's troubles: nothing, until the step has ended."""

from __future__ import annotations

import pytest
from celery import chain
from celery.exceptions import TaskRevokedError

from celeriac.ledger.models import Job
from tests.integration.looking import ended, job, lines, settings_env, state
from tests.shop.failing import discarding, picky, snoozing
from tests.shop.tasks import flaky, noop, old_errback, together
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


@pytest.fixture(scope="module")
def worker_env():
    return settings_env(CELERY_IMPORTS=["tests.shop.failing"])


def test_a_step_that_is_tried_again_is_one_step():
    last = chain(flaky.si(2), together.s("and"))()
    assert last.get(timeout=10) == [[2, "and"], {}]
    assert job(last.parent).attempt == 2
    assert Job.objects.filter(task=together.name).count() == 1


def test_a_step_that_snoozes_is_one_step(tmp_path):
    last = chain(snoozing.si(str(tmp_path / "notes")), together.s("and"))()
    assert last.get(timeout=10) == [[0, "and"], {}]


def test_a_step_that_is_dead_takes_the_rest_along_and_one_is_told(tmp_path):
    notes, errors = tmp_path / "notes", tmp_path / "errors"
    steps = chain(picky.si(str(notes), "down"), noop.s(), noop.s())
    last = steps.apply_async(link_error=old_errback.s(str(errors)))
    assert state(last.parent.parent) == ("dead", "exhausted")
    assert lines(notes) == ["0", "1", "2"]
    wait_until(lambda: [row.reason for row in ended(last.parent, last)] == ["upstream", "upstream"])
    wait_until(lambda: lines(errors))
    assert lines(errors) == [f"old {last.parent.parent.id}"]


def test_after_a_step_that_is_discarded_nothing_is_asked_for(tmp_path):
    last = chain(discarding.si(str(tmp_path / "notes"), "gone"), noop.s())()
    assert state(last.parent) == ("cancelled", "discarded")
    with pytest.raises(TaskRevokedError):
        last.parent.get(timeout=10)
    assert not Job.objects.filter(id=last.id).exists()
