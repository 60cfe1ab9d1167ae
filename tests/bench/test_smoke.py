"""Can the systems be measured side by side? Read, not run: `make bench` runs them."""

from __future__ import annotations

import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
from django.db import connection

from celeriac.worker.pace import Pace
from tests.ledger_helpers import Ledger, a_job

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


def test_what_takes_minutes_is_measured_once_after_the_rounds():
    plan = import_module("plan")
    found = plan.steps(quick=False, systems="celeriac,huey", measures=None, rounds=2)
    last = found[-1]
    assert (last.round, last.system, last.plan["measures"]) == (2, "celeriac_postgres", list(plan.ONCE))
    assert not any(set(plan.ONCE) & set(step.plan["measures"]) for step in found[:-1])


def test_a_quick_run_measures_what_is_slow_only_if_asked():
    plan = import_module("plan")
    asked = plan.steps(quick=True, systems="celeriac_p", measures="growth,soak")
    assert [step.plan["measures"] for step in asked] == [["growth", "soak"]]
    unasked = plan.steps(quick=True, systems="celeriac_p", measures=None)
    assert not any(set(plan.SLOW) & set(step.plan["measures"]) for step in unasked)


@pytest.mark.parametrize("size", ["QUICK", "FULL"])
def test_the_cases_of_a_growth_are_known_and_begin_with_the_first(size):
    growth = import_module("measures.growth")
    cases = getattr(import_module("plan"), size)["growth_cases"]
    assert set(cases) <= set(growth.CASES)
    assert cases[0] == growth.FIRST
    assert all(growth.CASES[case].ready > growth.TO for case in cases)


@pytest.mark.django_db(transaction=True)
def test_a_claim_is_measured_with_a_plan_that_is_kept_and_given_back():
    growth = import_module("measures.growth")
    ledger = Ledger("default")
    ledger.insert(*(a_job(queue="celery") for _ in range(Pace.MOST)))
    try:
        assert growth.claiming() > 0
    finally:
        connection.close()  # it was pinned to that plan
    assert set(ledger.jobs.values_list("state", flat=True)) == {"ready"}


def test_the_sizes_of_a_soak_are_told_by_thirds():
    soak = import_module("measures.soak")
    series = {
        "table": [(0, 1.0), (10, 4.0), (20, 3.0), (31, 5.0)],
        "indexes": [(0, 1.0), (10, 2.0), (20, 2.0), (31, 2.0)],
    }
    figures = soak.sizes(series, 30)
    assert [figures[f"table at {when}"] for when in ("1/3", "2/3", "the end")] == [4.0, 3.0, 5.0]
    assert (figures["table grew"], figures["indexes grew"]) == (25.0, 0.0)
    assert set(figures) <= set(soak.FIGURES)


def test_a_stream_keeps_to_the_clock_whatever_becomes_of_its_jobs():
    """What a producer that was held up is late with it asks for in bulk, and no more than was due."""
    import types

    stream = import_module("stream")
    asked = []

    def enqueue_one(body, number):
        asked.append((body, number))

    system = types.SimpleNamespace(
        has_bulk=True,
        enqueue_one=enqueue_one,
        enqueue_many=lambda body, numbers: asked.extend((body, number) for number in numbers),
    )
    stand = types.SimpleNamespace(system=system, new_log=list, hear=lambda _: None, count=lambda: 0)
    stream.PATIENCE = 0
    streamed = stream.stream(stand, 10_000, 0.05, batch=10, pause=1.0)
    numbers = [number for body, number in asked if body == "noop"]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) <= 10_000 * 0.05
    assert streamed.behind == len(numbers)


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


def test_a_report_has_one_figure_a_line_where_there_are_many_and_only_those_measured():
    report = import_module("report")
    record = report.Record(quick=True)
    record.add("celeriac_postgres", 0, [{"measure": "growth", "figures": {"10 k ready: rate": 7_000}}])
    [line] = [line for line in report.table(record).splitlines() if "ready" in line]
    assert line.split() == ["10", "k", "ready:", "rate", "/s", "7,000"]


SVG = "{http://www.w3.org/2000/svg}"


def test_a_plot_is_wellformed():
    from xml.etree import ElementTree as ET

    bars = [("Celeriac", 10_000.0), ("a <system>", 0.0)]
    drawn = import_module("plot").bars("jobs & seconds", bars, own=lambda label: label == "Celeriac")
    assert len(ET.fromstring(drawn).findall(f"{SVG}rect")) == 2


def test_the_labels_of_lines_that_end_together_stand_apart():
    from xml.etree import ElementTree as ET

    plot = import_module("plot")
    series = {"table": [(0.0, 1.0), (600.0, 50.0)], "one": [(0.0, 1.0), (600.0, 2.0)], "<two>": [(0.0, 0.0)]}
    found = ET.fromstring(plot.lines("MB & minutes", series))
    assert len(found.findall(f"{SVG}polyline")) == 3
    heights = sorted(float(each.get("y")) for each in found.findall(f"{SVG}text") if each.text in series)
    assert all(below - above >= plot.APART for above, below in pairwise(heights))


def test_each_chart_is_drawn_of_what_was_measured():
    report = import_module("report")
    record = report.Record(quick=True)
    assert import_module("charts").charts(record) == {}
    told = {"measure": "soak", "figures": {"done": 1_000}, "series": {}}
    for name in ("table", "indexes", "rows", "dead rows", "celeriac_job_pkey"):
        told["series"][name] = [[0, 1.0], [5, 2.0]]
    record.add("celeriac_postgres", 0, [told, {"measure": "growth", "figures": {"10 k ready: claim": 7.5}}])
    assert set(import_module("charts").charts(record)) == {"growth-claim", "soak", "soak-rows"}
