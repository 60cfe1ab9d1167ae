"""House rule 3: a test waits for an event, never for a time."""

from __future__ import annotations

import ast

import pytest

from tests.house.source import ROOT, relative

ALLOWED = {
    "tests/waiting.py",  # the one poll
    "tests/shop/tasks.py",  # a job's body may be slow: that is what it plays
    "tests/shop/atomic.py",  # as well
    "tests/shop/keyed.py",
}
TESTS = [path for path in sorted((ROOT / "tests").rglob("*.py")) if relative(path) not in ALLOWED]


def sleeps(tree: ast.AST) -> list[int]:
    """Lines that call or import something named sleep: time's, asyncio's, gevent's."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="sleep", value=ast.Name(id="time" | "asyncio" | "gevent" | "eventlet"))
            ):
                found.append(node.lineno)
            case ast.ImportFrom(module=module, names=names) if module != "tests.shop.tasks" and any(
                name.name == "sleep" for name in names
            ):
                found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_tests_do_not_sleep(path):
    assert not sleeps(ast.parse(path.read_text())), (
        "wait with tests.waiting.wait_until, Worker.wait_for, or a fault point"
    )


@pytest.mark.parametrize("code", ["import time\ntime.sleep(1)", "from time import sleep as nap"])
def test_a_sleep_would_be_found(code):
    assert sleeps(ast.parse(code))
