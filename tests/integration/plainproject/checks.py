"""What this project expects of Celery. Run with a worker beside it: `python checks.py`; ends with 0 if all holds."""

import os
import time
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "plain.settings")
from plain.celery import app, debug_task

django.setup()

from celery import chain, chord, group  # noqa: E402
from celery.result import AsyncResult  # noqa: E402
from django.db import transaction  # noqa: E402
from plain import tasks  # noqa: E402

NOTES = Path(os.environ["PLAIN_NOTES"])


def notes():
    return NOTES.read_text().splitlines() if NOTES.exists() else []


def until(condition, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds} s; notes: {notes()}"
        os.sched_yield()


def check_results():
    assert tasks.add.delay(1, 2).get(timeout=15) == 3
    assert app.send_task("plain.tasks.add", (1, 2)).get(timeout=15) == 3
    assert AsyncResult(tasks.add.apply_async((2, 2), countdown=0.1).id).get(timeout=15) == 4
    assert tasks.add.signature((1,), {"y": 1}).apply_async().get(timeout=15) == 2
    debug_task.delay()


def check_canvas():
    assert chain(tasks.add.s(1, 2), tasks.add.s(3))().get(timeout=15) == 6
    assert group(tasks.add.s(n, n) for n in range(3))().get(timeout=15) == [0, 2, 4]
    assert chord((tasks.add.s(n, n) for n in range(3)), tasks.total.s())().get(timeout=15) == 6
    inner = AsyncResult(tasks.report.delay(3).get(timeout=15))
    assert inner.get(timeout=15) == 9
    tasks.fan_out.delay().get(timeout=15)


def check_retries():
    assert tasks.stubborn.delay(2).get(timeout=15) == 2
    result = tasks.stubborn.delay(9)
    error = result.get(timeout=15, propagate=False)
    assert isinstance(error, LookupError)
    assert error.args == ("not yet",)
    assert result.state == "FAILURE"


def check_request_and_routes():
    result = tasks.about.apply_async()
    assert result.get(timeout=15) == [result.id, "plain", "celery", "plain.tasks.about"]
    assert tasks.shout.delay("hey").get(timeout=15) == "HEY"


def check_hooks_and_signals():
    assert tasks.noted.delay(5).get(timeout=15) == 5
    failed = tasks.noted_failure.delay()
    assert isinstance(failed.get(timeout=15, propagate=False), ConnectionError)
    name, failing = "plain.tasks.noted", "plain.tasks.noted_failure"
    until(lambda: f"postrun {failing} FAILURE" in notes())
    until(lambda: f"postrun {name} SUCCESS" in notes())
    own = [line for line in notes() if line.split()[1] == name]
    expected = ["prerun", "before_start", "success", "on_success", "after_return", "postrun"]
    assert sorted(line.split()[0] for line in own) == sorted(expected), own
    own = [line for line in notes() if line.split()[1] == failing]
    once = ["prerun", "before_start", "retry", "on_retry", "postrun"]
    then = ["prerun", "before_start", "failure", "on_failure", "after_return", "postrun"]
    assert sorted(line.split()[0] for line in own) == sorted(once + then), own


def check_on_commit():
    with transaction.atomic():
        tasks.shout.delay_on_commit("later")
        assert f"prerun {tasks.shout.name} later" not in notes()
    until(lambda: sum(line == f"success {tasks.shout.name}" for line in notes()) == 2)


if __name__ == "__main__":
    for check in (check_results, check_canvas, check_retries, check_request_and_routes):
        check()
    check_hooks_and_signals()
    check_on_commit()
    print("ALL HOLDS")
