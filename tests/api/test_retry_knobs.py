"""What the page on retries says of knobs that meet, one sentence a test."""

from __future__ import annotations

import pytest
from celery import states

from celeriac import Policy
from celeriac.api.retrying import again, policy_of
from celeriac.errors import ConfigurationError
from tests.shop.celery import app

MADE = iter(range(1000))


class Busy(Exception):
    retry_after = 30


class VeryBusy(Busy):
    pass


def fails(error=Busy, **options):
    """A task that raises; of this process alone."""

    def body(self):
        raise error

    return app.task(body, name=f"knobs.{next(MADE)}", bind=True, shared=False, **options)


def test_dont_autoretry_for_is_not_discarded_either():
    kept = fails(dont_autoretry_for=(Busy,), discard_on=(Busy,)).apply()
    assert (kept.state, type(kept.result)) == (states.FAILURE, Busy)
    assert fails(discard_on=(Busy,)).apply().state == states.IGNORED


@pytest.mark.parametrize(("timed", "asked"), [(False, 30), (True, 0)])
def test_a_time_of_ones_own_is_not_overruled_by_retry_after(timed, asked):
    wait, most = again(fails(retry_backoff=1, retry_jitter=False), Busy(), None, timed=timed)
    assert (wait, most) == (max(1, asked), 1)


def test_the_nearest_class_counts():
    task = fails(autoretry_for=(Exception,), retry_on={Busy: Policy(delay=7), VeryBusy: Policy(delay=70)})
    assert [policy_of(task, error).delay for error in (Busy(), VeryBusy(), ValueError())] == [7, 70, 180]


def test_fractions_count():
    policy = policy_of(fails(retry_backoff=0.5, retry_backoff_max=1.5))
    assert [policy.longest(retries) for retries in range(3)] == [0.5, 1, 1.5]


def test_retry_for_is_the_only_limit_unless_another_is_named():
    assert policy_of(fails(retry_for=60)).max_retries is None
    assert policy_of(fails(retry_for=60, max_retries=3)).max_retries == 3
    assert policy_of(fails()).max_retries == 3


@pytest.mark.parametrize(
    "wrong", [{"autoretry_for": ("Busy",)}, {"retry_on": [Busy]}, {"retry_on": {Busy: 3}}, {"max_retries": -1}]
)
def test_what_makes_no_sense_is_refused_when_the_task_is_made(wrong):
    with pytest.raises(ConfigurationError, match=r"knobs\.\d+"):
        fails(**wrong).name  # noqa: B018 - tasks are made when they are first looked at


@pytest.mark.parametrize("error", [Busy, Exception])
def test_eagerly_it_is_tried_again_at_once(error):
    runs = []

    def body(self):
        runs.append(self.request.retries)
        raise error

    task = app.task(body, name=f"knobs.{next(MADE)}", bind=True, shared=False, autoretry_for=(error,), max_retries=2)
    assert task.apply().state == states.FAILURE
    assert runs == [0, 1, 2]
