"""Can the systems be measured side by side? Read, not run: `make bench` runs them."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent.parent.parent / "bench"


@pytest.fixture(autouse=True)
def _bench_is_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in MODULES]:
        del sys.modules[name]


MODULES = {
    "bare_celery",
    "bodies",
    "charts",
    "environments",
    "measures",
    "plan",
    "plot",
    "report",
    "stand",
    "stream",
    "systems",
}
NAMES = sorted(path.stem for path in (BENCH / "systems").glob("[!_]*.py"))


def test_every_adapter_has_its_place_in_the_order():
    assert sorted(import_module("systems").ORDER) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_is_complete_and_loads_without_its_system(name):
    systems = import_module("systems")
    system = systems.load(name)
    assert isinstance(system, systems.System)
    assert all([system.title, system.guarantees, system.distribution, system.requirements, system.measures])
    assert len(system.guarantees) <= 110
    assert (BENCH / "locks" / f"{system.lock}.txt").exists()
    assert set(system.measures) <= set(import_module("plan").MEASURES)
    if name != "bare":
        changed = type(system)
        assert changed.enqueue_one is not systems.System.enqueue_one
        assert changed.worker_commands is not systems.System.worker_commands
        assert system.has_bulk is (changed.enqueue_many is not systems.System.enqueue_many) or name == "taskiq"


def test_a_quick_run_takes_less_than_three_minutes():
    found = import_module("plan").steps(quick=True, systems=None, measures=None)
    assert len(found) == import_module("plan").QUICK_SYSTEMS
    assert sum(step.seconds for step in found) < 180


def test_rounds_are_interleaved():
    found = import_module("plan").steps(quick=False, systems="celeriac_p,huey", measures="drain", rounds=2)
    assert [(step.round, step.system) for step in found] == [
        (0, "celeriac_postgres"),
        (0, "huey"),
        (1, "celeriac_postgres"),
        (1, "huey"),
    ]
    assert {tuple(step.plan["measures"]) for step in found} == {("drain",)}


def test_a_quick_run_measures_what_is_slow_only_if_asked():
    plan = import_module("plan")
    asked = plan.steps(quick=True, systems="celeriac_p", measures="reconn")
    assert [step.plan["measures"] for step in asked] == [["reconnecting"]]
    unasked = plan.steps(quick=True, systems="celeriac_p", measures=None)
    assert not any(set(plan.SLOW) & set(step.plan["measures"]) for step in unasked)


def test_each_measure_has_its_file_and_its_figures():
    for name in import_module("plan").MEASURES:
        assert import_module(f"measures.{name}").FIGURES


def test_a_report_shows_what_was_not_run_and_why():
    report = import_module("report")
    record = report.Record(quick=True)
    record.refuse("huey", "cannot be installed: no such wheel")
    record.add("rq", 0, [{"measure": "drain", "error": "TimeoutError: 0 of 9 jobs ran"}])
    record.add("dramatiq", 0, [{"measure": "drain", "figures": {"rate": 100, "jobs": 9}}])
    record.add("dramatiq", 1, [{"measure": "drain", "figures": {"rate": 120, "jobs": 9}}])
    table = report.table(record)
    assert "Huey: cannot be installed: no such wheel" in table
    assert "RQ, drain: round 1: TimeoutError: 0 of 9 jobs ran" in table
    assert "Celery, raw: not chosen" in table
    assert "110 (100-120)" in table


def test_a_report_shows_celeriacs_share_of_the_bare_limits():
    report = import_module("report")
    record = report.Record(quick=True)
    record.add("celeriac_postgres", 0, [{"measure": "drain", "figures": {"rate": 10_000}}])
    assert "of the bare" not in report.table(record)
    record.add("bare", 0, [{"measure": "limits", "figures": {"claim+complete rate": 20_000, "tracer": 20.0}}])
    assert "50% of the bare claim+complete (20,000/s), 10% of two processes that only trace (100,000/s)" in (
        report.table(record)
    )


def test_a_plot_is_wellformed():
    from xml.etree import ElementTree as ET

    drawn = import_module("plot").bars("jobs & seconds", [("Celeriac", 10_000.0), ("a <system>", 0.0)])
    assert len(ET.fromstring(drawn).findall("{http://www.w3.org/2000/svg}rect")) == 2
