"""House rule 2: small files, small functions."""

from __future__ import annotations

import ast
from statistics import median

import pytest

from tests.house.source import MODULES, PACKAGE, relative

MAX_FILE, MAX_FUNCTION, MAX_MEDIAN = 300, 60, 100


def lines(path) -> int:
    return len(path.read_text().splitlines())


@pytest.mark.parametrize("path", MODULES + sorted(PACKAGE.rglob("*.sql")), ids=relative)
def test_a_file_is_at_most_300_lines(path):
    assert lines(path) <= MAX_FILE


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_function_is_at_most_60_lines(path):
    functions = (
        n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions if f.end_lineno - f.lineno >= MAX_FUNCTION}
    assert not long


def test_the_median_file_is_at_most_100_lines():
    sizes = [size for path in MODULES if (size := lines(path))]
    assert not sizes or median(sizes) <= MAX_MEDIAN
