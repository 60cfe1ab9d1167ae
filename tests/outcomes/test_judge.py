"""judge: every way a run can end has one verdict, decided without looking at anything but its arguments."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from celeriac import outcomes
from celeriac.ledger.states import ENDED, MOVES, State
from celeriac.outcomes import Bounds, Kind, Outcome, Verdict, judge

delays = st.floats(min_value=-1e6, max_value=1e6)
any_outcome = st.builds(Outcome, st.sampled_from(Kind), st.text(max_size=20), delays, st.integers(0, 1))
policies = st.builds(Bounds, max_losses=st.integers(1, 10), requeue_delay=st.floats(0.0, 60.0))
losses = st.integers(0, 20)


@given(any_outcome, losses, policies)
def test_every_outcome_has_a_verdict_that_a_verb_can_carry_out(outcome, lost, bounds):
    verdict = judge(outcome, lost, bounds)
    verb = "finish" if verdict.final else "reschedule"
    assert (State.RUNNING, State(verdict.state)) in MOVES[verb]
    assert verdict.delay >= 0.0
    assert verdict.charge in (0, 1)
    assert verdict.loss in (0, 1)


@given(any_outcome, losses, policies)
def test_the_same_run_is_judged_the_same(outcome, lost, bounds):
    assert judge(outcome, lost, bounds) == judge(outcome, lost, bounds)


@given(any_outcome, losses, policies)
def test_only_what_lost_its_process_is_charged_with_a_loss(outcome, lost, bounds):
    assert judge(outcome, lost, bounds).loss == (outcome.kind is Kind.LOST)


@given(any_outcome, losses, policies)
def test_a_job_waits_for_a_reason_and_is_scheduled_for_a_time(outcome, lost, bounds):
    verdict = judge(outcome, lost, bounds)
    if verdict.state == "waiting":
        assert verdict.reason
    assert (verdict.state == "scheduled") == (verdict.delay > 0)


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        (Kind.SUCCEEDED, Verdict("succeeded")),
        (Kind.IGNORED, Verdict("succeeded", "ignored")),
        (Kind.TERMINATED, Verdict("cancelled", "terminated", charge=1)),
        (Kind.REVOKED, Verdict("cancelled", "revoked", charge=1)),
        (Kind.CANCELLED, Verdict("cancelled", "revoked", charge=1)),
        (Kind.UNREGISTERED, Verdict("waiting", "unregistered")),
        (Kind.ORPHANED, Verdict("ready", suspect=True)),
        (Kind.FAILED, Verdict("dead", "failed", charge=1)),
        (Kind.REJECTED, Verdict("dead", "rejected", charge=1)),
        (Kind.TIMEOUT, Verdict("dead", "timeout", charge=1)),
        (Kind.RETRY, Verdict("ready", charge=1)),
        (Kind.REQUEUED, Verdict("scheduled", delay=1.0)),
        (Kind.LOST, Verdict("ready", charge=1, loss=1)),
    ],
)
def test_each_kind_by_itself(kind, verdict):
    assert judge(Outcome(kind), 0, Bounds()) == verdict


def test_the_kinds_above_are_all_there_are():
    [mark] = test_each_kind_by_itself.pytestmark
    assert {kind for kind, _ in mark.args[1]} == set(Kind)


@given(delays, st.integers(0, 1))
@example(0.0, 0)
def test_a_retry_waits_as_long_as_the_task_said_and_is_charged_as_it_said(delay, charge):
    verdict = judge(Outcome(Kind.RETRY, delay=delay, charge=charge), 0, Bounds())
    assert (verdict.delay, verdict.charge) == (max(0.0, delay), charge)


@given(st.sampled_from([Kind.FAILED, Kind.REJECTED, Kind.TIMEOUT]), st.text(min_size=1))
def test_a_death_keeps_the_reason_it_was_given(kind, reason):
    assert judge(Outcome(kind, reason), 0, Bounds()).reason == reason


@given(st.integers(1, 10))
def test_a_job_that_kills_its_process_is_dead_after_so_many_starts(cap):
    verdicts = [judge(Outcome(Kind.LOST), lost, Bounds(max_losses=cap)) for lost in range(cap)]
    assert [verdict.final for verdict in verdicts] == [False] * (cap - 1) + [True]
    assert (verdicts[-1].state, verdicts[-1].reason) == ("dead", "lost")
    assert all(verdict.charge == verdict.loss == 1 for verdict in verdicts)


@given(losses, st.integers(1, 10))
def test_a_job_past_the_cap_stays_dead_when_the_cap_is_lowered(lost, cap):
    assert judge(Outcome(Kind.LOST), cap + lost, Bounds(max_losses=cap)).state == "dead"


def test_a_loss_runs_again_at_once_and_then_backs_off():
    waits = [judge(Outcome(Kind.LOST), lost, Bounds(max_losses=8)).delay for lost in range(7)]
    assert waits[0] == 0.0
    assert all(earlier < later for earlier, later in pairwise(waits))
    assert waits[-1] <= 4095  # an hour or so, not a day


@given(any_outcome, losses, policies)
def test_final_is_what_the_ledger_calls_ended(outcome, lost, bounds):
    verdict = judge(outcome, lost, bounds)
    assert verdict.final == (State(verdict.state) in ENDED)


def test_judging_is_pure():
    """No Django, no Celery, no clock, no dice (import-linter holds the first two for whatever they import)."""
    allowed = {"celeriac", "dataclasses", "datetime", "enum", "typing", "collections", "re", "hashlib", "__future__"}
    for module in [outcomes, *map(importlib.import_module, submodules())]:
        assert imported(module) <= allowed


def submodules():
    return [f"{outcomes.__name__}.{found.name}" for found in pkgutil.iter_modules(outcomes.__path__)]


def imported(module) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split(".")[0])
    return names
