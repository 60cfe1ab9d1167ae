"""One scripted task, and a few whose point is their shape."""

from __future__ import annotations

import gc
import logging
import os
import re
import resource
import signal
import sys
import threading
import time
from pathlib import Path

from celery import chain, chord, group, shared_task
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded


@shared_task
def noop(value=None):
    return value


@shared_task
def add(x, y):
    return x + y


@shared_task
def total(values):
    return sum(values)


@shared_task
def frozen():
    return gc.get_freeze_count()


@shared_task
def note(path, text):
    """Append a line to a file: an effect that a test can count."""
    with Path(path).open("a") as file:
        file.write(f"{text}\n")
    return text


def lines_of(path):
    return Path(path).read_text().splitlines()


@shared_task
def fail(message="no"):
    raise ValueError(message)


@shared_task(bind=True)
def request(self):
    keys = ("id", "retries", "delivery_info", "headers", "root_id", "parent_id", "group", "hostname", "is_eager")
    return {key: self.request.get(key) for key in keys} | {"tenant": self.request.get("tenant")}


@shared_task(autoretry_for=(ConnectionError,), default_retry_delay=0.02, max_retries=2, bind=True)
def flaky(self, failures, path=None):
    if path:
        note(path, self.request.retries)
    if self.request.retries < failures:
        raise ConnectionError(f"attempt {self.request.retries}")
    return self.request.retries


@shared_task(autoretry_for=(ConnectionError,), retry_backoff=1, retry_jitter=False, max_retries=2, bind=True)
def back_off(self, failures):
    if self.request.retries < failures:
        raise ConnectionError(f"attempt {self.request.retries}")
    return self.request.retries


@shared_task
def sleep(seconds, path=None, text=""):
    if path:
        note(path, f"start {text}")
    time.sleep(seconds)
    if path:
        note(path, f"end {text}")
    return text


@shared_task
def pid(*_):
    return os.getpid()


@shared_task
def kill(sig):
    os.kill(os.getpid(), sig)
    time.sleep(60)


@shared_task(durable=False)
def fleeting(path, text):
    return note(path, text)


# -- what holds a slot until the test says so


@shared_task
def hold(gate, path=None, text="held"):
    """Run until the file `gate` exists."""
    if path:
        note(path, f"start {text}")
    deadline = time.monotonic() + 50
    while not Path(gate).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(gate)
        time.sleep(0.005)
    if path:
        note(path, f"end {text}")
    return text


@shared_task
def routed(value=None):
    return value


@shared_task
def together(*args, **kwargs):
    return [list(args), kwargs]


# -- how a body may end


@shared_task
def unencodable():
    return object()


@shared_task
def repeat(text, times):
    return text * times


@shared_task(bind=True, max_retries=5)
def retry_later(self):
    raise self.retry(countdown=60, exc=ConnectionError("later"))


@shared_task(bind=True)
def progress(self, gate):
    self.update_state(state="PROGRESS", meta={"done": 3, "of": 7})
    return hold(gate)


@shared_task(bind=True)
def say_failure(self, meta):
    self.update_state(state="FAILURE", meta=meta)
    raise Ignore


@shared_task
def ignore():
    raise Ignore("not today")


@shared_task
def reject(path, requeue):
    note(path, "run")
    if requeue and len(Path(path).read_text().splitlines()) > 1:
        return "taken"
    raise Reject("no", requeue=requeue)


@shared_task(bind=True)
def raise_retry(self):
    if not self.request.retries:
        raise Retry("by hand", when=0.05)
    return self.request.retries


@shared_task(bind=True, max_retries=5)
def retry_changed(self, value, word="first", queue=None):
    if self.request.retries == 0:
        self.retry(args=(value + 1,), kwargs={"word": "second"}, countdown=0.05, **({"queue": queue} if queue else {}))
    return [value, word, self.request.retries, self.request.delivery_info["routing_key"]]


@shared_task(bind=True, max_retries=2, default_retry_delay=0.02)
def retry_for_ever(self, path):
    note(path, self.request.retries)
    try:
        return {}["never there"]
    except KeyError as error:
        raise self.retry(exc=error) from error


@shared_task(bind=True, max_retries=1, default_retry_delay=0.02)
def retry_without_cause(self):
    raise self.retry()


@shared_task
def leave(how, path=None):
    if path:
        note(path, "run")
    if how == "sys.exit":
        sys.exit(3)
    if how == "os._exit":
        os._exit(3)
    raise MemoryError("too much")


@shared_task(bind=True)
def soft_limited(self):
    try:
        time.sleep(30)
    except SoftTimeLimitExceeded:
        return "cleaned up"


@shared_task
def balloon(megabytes):
    """Take memory, give it back to nobody, and say who did."""
    bytearray(os.urandom(1024) * 1024 * megabytes)
    return [os.getpid(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]


# -- canvas


@shared_task
def errback(request, exc, traceback, path):
    note(path, f"new {request.id} {type(exc).__name__} {exc} {bool(traceback)}")


@shared_task
def old_errback(task_id, path):
    note(path, f"old {task_id}")


@shared_task
def spawn():
    return [noop.delay(1).id, noop.delay(2).id]


@shared_task(bind=True)
def replace(self, kind):
    kinds = {
        "signature": lambda: add.s(2, 3),
        "chain": lambda: chain(add.s(1, 1), add.s(10), add.s(100)),
        "chord": lambda: chord([add.s(1, 1), add.s(2, 2)], total.s()),
        "group": lambda: group(add.s(1, 1), add.s(2, 2)),
    }
    raise self.replace(kinds[kind]())


@shared_task(bind=True)
def full_request(self):
    """Everything the request knows, what it says of itself and what Celery's class says for it; odd values as text."""
    said = {name for name in {*dir(type(self.request)), *vars(self.request)} if not name.startswith("_")} - {"children"}
    values = {name: getattr(self.request, name) for name in sorted(said)}
    plain = (str, int, float, bool, list, dict, type(None))
    return {
        name: value if isinstance(value, plain) else repr(value)
        for name, value in values.items()
        if not callable(value)
    }


@shared_task(bind=True)
def replace_in_atomic(self):
    from django.db import transaction

    with transaction.atomic():
        raise self.replace(add.s(3, 4))


@shared_task
def kill_worker():
    """Take the whole worker along: on threads its one process, on prefork the parent too."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


@shared_task
def stubborn(gate, path):
    """As `hold`, but it ends for nobody."""
    note(path, "start")
    while not Path(gate).exists():
        try:
            threading.Event().wait(0.01)
        except BaseException as error:  # noqa: BLE001 - that is the point
            note(path, type(error).__name__)


@shared_task
def greedy(path):
    """Hear of the soft limit, and go on."""
    while True:
        try:
            time.sleep(0.01)
        except SoftTimeLimitExceeded as error:
            note(path, type(error).__name__)


@shared_task
def hog():
    """Keep Python's lock: no other thread of the process runs, and no signal handler."""
    return bool(re.fullmatch(r"(a+)+", "a" * 60 + "b"))


@shared_task
def kill_loudly(sig, last_words):
    logging.getLogger("shop").warning(last_words)
    time.sleep(0.5)
    os.kill(os.getpid(), sig)


# -- what looks whether it was cancelled


@shared_task(bind=True)
def until_cancelled(self, path, then="return"):
    """Run until somebody asks to cancel it; then return, fail, agree, or ask for another attempt."""
    note(path, f"start {self.request.retries}")
    deadline = time.monotonic() + 50
    while not self.cancelled():
        if time.monotonic() > deadline:
            raise TimeoutError(path)
        time.sleep(0.005)
    note(path, "seen")
    if then == "retry":
        raise self.retry(countdown=0, exc=ConnectionError("not done"))
    if then == "replace":
        raise self.replace(noop.s("in its place"))
    if then == "fail":
        raise ValueError("half done")
    if then == "ignore":
        self.update_state(state="REVOKED")
        raise Ignore
    return "stopped"
