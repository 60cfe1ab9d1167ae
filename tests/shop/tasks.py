"""One scripted task, and a few whose point is their shape."""

from __future__ import annotations

import os
import time

from celery import shared_task


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
def note(path, text):
    """Append a line to a file: an effect that a test can count."""
    with open(path, "a") as file:
        file.write(f"{text}\n")
    return text


@shared_task
def fail(message="no"):
    raise ValueError(message)


@shared_task(bind=True)
def request(self):
    keys = ("id", "retries", "delivery_info", "headers", "root_id", "parent_id", "group", "hostname", "is_eager")
    return {key: self.request.get(key) for key in keys} | {"tenant": self.request.get("tenant")}


@shared_task(autoretry_for=(ConnectionError,), retry_backoff=0.05, retry_jitter=False, max_retries=2, bind=True)
def flaky(self, failures, path=None):
    if path:
        note(path, self.request.retries)
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
