"""The repository is whole, and knows nothing of the machine it was written on."""

from __future__ import annotations

import os
import re

from tests.house.source import ROOT, relative, repository_files

# Put together here, or this file would find itself.
MACHINE = "|".join(["/" + "work/", "/" + "tmp/w/", "/" + "root/", "/" + "home/[a-z]+/", "/" + "opt/(pypi|wheels)"])
REGISTRIES = "|".join(
    ["pypi" + r"\.org", "files" + r"\.pythonhosted", "--(extra-)?index" + "-url[ =]", "--find" + "-links"]
)
# A relative path may have such a folder in it; an absolute one starts where no name ended.
PATHS = re.compile(rf"(?<![\w.}}/-])({MACHINE})|{REGISTRIES}")


def test_ci_runs():
    run = ROOT / ".ci" / "run"
    assert run.read_text().startswith("#!/usr/bin/env bash\n")
    assert os.access(run, os.X_OK)


def test_changelog_has_a_place_for_the_next_change():
    assert re.search(r"^## \[?Unreleased\]?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_locked_requirements_are_pinned():
    lines = (ROOT / "requirements" / "dev.txt").read_text().splitlines()
    names = [line for line in lines if line and not line.lstrip().startswith("#")]
    assert names
    assert [line for line in names if not re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+( ;.*)?$", line)] == []


def test_no_file_names_a_machine_or_a_registry():
    found = []
    for path in repository_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [
            f"{relative(path)}:{n}: {m[0]}" for n, line in enumerate(text.splitlines(), 1) for m in PATHS.finditer(line)
        ]
    assert found == []
