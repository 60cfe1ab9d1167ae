"""A small part of `make chaos` with every run of the tests; the rest takes minutes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.workers import ROOT

SCENARIOS = ["parent-kill", "child-kill", "restart", "poison", "deploy"]


def play(scenario: str, folder) -> dict:
    """Play it in a process of its own: it is another Django project on other servers."""
    path = folder / f"{scenario}.json"
    run = subprocess.run(
        [sys.executable, "-m", "tests.chaos.one", scenario, "--scale", "0.2", "--row", str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=80,
        check=False,
    )
    assert path.exists(), run.stderr
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> dict[str, Future]:
    """One at a time: the other core has other tests to run."""
    folder = tmp_path_factory.mktemp("chaos")
    with ThreadPoolExecutor(1) as pool:
        yield {scenario: pool.submit(play, scenario, folder) for scenario in SCENARIOS}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_nothing_is_lost_and_nothing_runs_twice(scenario, rows):
    row = rows[scenario].result()
    assert row["ok"], row
