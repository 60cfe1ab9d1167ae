"""Fingerprints: deaths of one cause are one group, deaths of two causes are two."""

from __future__ import annotations

import uuid

import hypothesis.strategies as st
import pytest
from hypothesis import given

import celeriac
from celeriac.outcomes import dotted, fingerprint
from celeriac.outcomes.fingerprint import frame, shape

TRACEBACK = """Traceback (most recent call last):
  File "/app/.venv/lib/python3.11/site-packages/celery/app/trace.py", line 453, in trace_task
    R = retval = fun(*args, **kwargs)
  File "/srv/shop/orders/tasks.py", line 12, in charge
    gateway.pay(order)
  File "/srv/shop/billing/gateway.py", line 88, in pay
    raise_for(answer)
  File "/app/.venv/lib/python3.11/site-packages/requests/models.py", line 1024, in raise_for_status
    raise HTTPError(http_error_msg, response=self)
requests.exceptions.HTTPError: 503 Server Error
"""


def print_of(**changed):
    facts = {"exception": "ValueError", "message": "no", "traceback": TRACEBACK, "task": "shop.charge"}
    return fingerprint(**{**facts, **changed})


def test_it_is_the_innermost_frame_of_the_projects_own_code():
    assert frame(TRACEBACK) == "shop/billing/gateway.py:pay"
    ours = f'  File "{celeriac.__path__[0]}/worker/executor.py", line 7, in run_job'
    assert frame(f"{TRACEBACK}{ours}") == "shop/billing/gateway.py:pay"
    assert frame("WorkerLostError: killed") == ""


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/python3.11/json/decoder.py",
        "/opt/venv/lib/python3.12/site-packages/stripe/http.py",
        "/usr/lib/python3/dist-packages/yaml/__init__.py",
        "C:\\venv\\Lib\\site-packages\\stripe\\http.py",
        "<frozen importlib._bootstrap>",
        "<string>",
    ],
)
def test_what_others_wrote_is_not_where_it_failed(path):
    assert frame(f'  File "{path}", line 3, in go\n') == ""


def test_a_deploy_that_moves_lines_and_folders_changes_nothing():
    assert print_of() == print_of(traceback=TRACEBACK.replace("line 88", "line 91").replace("/srv/", "/releases/7/"))


@pytest.mark.parametrize(
    "changed",
    [
        {"exception": "KeyError"},
        {"message": "never"},
        {"traceback": TRACEBACK.replace("in pay", "in refund")},
        {"traceback": TRACEBACK.replace("gateway.py", "invoices.py")},
    ],
)
def test_another_cause_is_another_group(changed):
    assert print_of(**changed) != print_of()


def test_without_a_frame_the_task_tells_them_apart():
    assert print_of(traceback="", task="shop.charge") != print_of(traceback="", task="shop.refund")
    assert print_of(task="shop.charge") == print_of(task="shop.refund")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Order 17 is gone", "Order 4711 is gone"),
        ("took 1.25 s", "took 0.7 s"),
        ("no row 0190a7d4-71a5-7e1c-8a4b-0c8f8f6a2b11", "no row c9bf9e57-1685-4c89-bafb-ff5af830be8a"),
        ("<Order object at 0x7f3a9c>", "<Order object at 0x55dead>"),
        ("mail to ada@example.com bounced", "mail to bob.b+x@mail.example.org bounced"),
        ("commit 3f2a9c1d missing", "commit deadbeef01 missing"),
        ("at 2026-11-25T03:00:01", "at 2027-01-02T15:30:59"),
        ("line\nand what differs below", "line\nother"),
    ],
)
def test_what_varies_is_no_part_of_a_shape(one, other):
    assert shape(one) == shape(other)


def test_words_are():
    assert shape("defaced facade") == "defaced facade"
    assert shape("no such table") != shape("no such column")


@given(st.text())
def test_a_shape_is_short_and_its_own_shape(message):
    assert len(shape(message)) <= 200
    assert shape(shape(message)) == shape(message)


@given(st.text(), st.text(), st.text(max_size=300), st.text())
def test_anything_has_a_fingerprint(exception, message, traceback, task):
    found = fingerprint(exception, message, traceback, task)
    assert len(found) == 32
    assert found == fingerprint(exception, message, traceback, task)


def test_a_huge_message_costs_no_more_than_a_line():
    assert len(shape("x" * 10_000_000)) == 200


def test_a_class_has_a_dotted_name():
    assert dotted(ValueError) == "ValueError"
    assert dotted(uuid.UUID) == "uuid.UUID"
