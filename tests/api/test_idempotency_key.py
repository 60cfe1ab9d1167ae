"""What the other side is told can always be told: by a header, and to Stripe, which takes 255 characters."""

from __future__ import annotations

import pytest

from celeriac.api.context import Run, running
from celeriac.api.once import _name as step
from celeriac.api.once import idempotency_key
from tests.worker.claims import a_claimed


class Task:
    def __init__(self, run):
        self.request = type("Request", (), {"id": run.task_id, "is_eager": False})


def told(task, key, name=""):
    run = Run("01a2", a_claimed(task=task)._replace(key=key))
    tokens = running.set(run), step.set(name)
    try:
        return idempotency_key(Task(run))
    finally:
        running.reset(tokens[0])
        step.reset(tokens[1])


def test_what_fits_is_told_as_it_is():
    assert told("shop.charge", "inv-7", "charge") == "shop.charge:inv-7/charge"
    assert told("t" * 100, "k" * 150, "abc") == f"{'t' * 100}:{'k' * 150}/abc"


@pytest.mark.parametrize("key", ["k" * 200, "Rechnung-\u00e4", "\u767a\u6ce8-7", "two\nlines"])
def test_what_does_not_fit_keeps_its_beginning_and_what_tells_it_from_others(key):
    task, name = "t" * 50, "n" * 100
    short = told(task, key, name)
    assert short.startswith(f"{task}:")
    assert short.isascii()
    assert short.isprintable()
    assert len(short) <= 255
    assert short == told(task, key, name)
    assert (
        len({short, told(task, key, f"{name[:-1]}m"), told(task, f"{key[:-1]}x", name), told("other", key, name)}) == 4
    )
