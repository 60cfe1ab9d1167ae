"""Which time limits a job has: the call's, else its task's, else the worker's, else the project's."""

from __future__ import annotations

import json
from itertools import product
from types import SimpleNamespace

import pytest

from celeriac.worker.limits import Limits
from tests.worker.claims import a_claimed


def limits(settings, *, task=(None, None), worker=(None, None), default=None):
    """Limits where each level says (soft, hard)."""
    settings.CELERIAC = {**settings.CELERIAC, "DEFAULT_TIME_LIMIT": default}
    known = SimpleNamespace(soft_time_limit=task[0], time_limit=task[1])
    app = SimpleNamespace(tasks={"shop.noop": known})
    return Limits(SimpleNamespace(app=app, soft_time_limit=worker[0], time_limit=worker[1]))


def called(soft=None, hard=None, **fields):
    return a_claimed(headers=json.dumps({"timelimit": [hard, soft]}, separators=(",", ":")), **fields)


@pytest.mark.parametrize("said", list(product([False, True], repeat=4)))
def test_who_is_nearest_to_the_job_has_the_say(settings, said):
    """Each level may be silent; the hard limit knows one level more than the soft one."""
    call, task, worker, default = ((level, level + 10) if loud else (None, None) for level, loud in enumerate(said, 1))
    found = limits(settings, task=task, worker=worker, default=default[1])
    soft = next((level[0] for level in (call, task, worker) if level[0]), None)
    hard = next((level[1] for level in (call, task, worker, default) if level[1]), None)
    assert found.of(called(*call)) == (soft, hard)


def test_soft_and_hard_are_looked_up_each_by_itself(settings):
    found = limits(settings, task=(3, None), worker=(7, 8), default=9)
    assert found.of(called(hard=5)) == (3, 5)
    assert found.of(called()) == (3, 8)


def test_the_projects_default_is_a_hard_limit_only(settings):
    assert limits(settings, default=60.0).of(a_claimed()) == (None, 60.0)


def test_without_any_there_is_none(settings):
    assert limits(settings).of(a_claimed()) == (None, None)


def test_a_limit_of_zero_is_none(settings):
    assert limits(settings, task=(0, 0), worker=(0, 0)).of(called(0, 0)) == (None, None)


def test_a_task_that_nobody_knows_has_the_workers(settings):
    job = a_claimed(task="shop.unknown")
    assert limits(settings, task=(1, 2), worker=(3, 4)).of(job) == (3, 4)


def test_an_argument_or_a_header_of_the_users_that_is_called_so_is_not_meant(settings):
    job = a_claimed(kwargs='{"timelimit": [1, 2]}', headers=json.dumps({"mine": {"timelimit": [1, 2]}}))
    assert limits(settings).of(job) == (None, None)


@pytest.mark.parametrize("header", [None, [None, None], []])
def test_a_call_that_names_none_says_so_in_many_ways(settings, header):
    job = a_claimed(headers=json.dumps({"timelimit": header}, separators=(",", ":")))
    assert limits(settings, worker=(3, 4)).of(job) == (3, 4)


def test_a_claim_has_those_of_each_job_or_none_at_all(settings):
    found = limits(settings)
    assert found.of_all([a_claimed(), called(), a_claimed()]) == []
    assert found.of_all([a_claimed(), called(2, 3), a_claimed()]) == [(None, None), (2, 3), (None, None)]
    assert found.of_all([]) == []
