"""Tasks as people write them. Nothing here knows of Celeriac."""

import os
from pathlib import Path

import celery
from celery import chain, chord, group, shared_task, signals

NOTES = Path(os.environ["PLAIN_NOTES"])


def note(text):
    with NOTES.open("a") as file:
        file.write(f"{text}\n")


@signals.task_prerun.connect
def on_prerun(task_id, task, args, kwargs, **_):
    note(f"prerun {task.name}")


@signals.task_postrun.connect
def on_postrun(task, state, retval, **_):
    note(f"postrun {task.name} {state}")


@signals.task_success.connect
def on_success(sender, result, **_):
    note(f"success {sender.name}")


@signals.task_failure.connect
def on_failure(sender, exception, **_):
    note(f"failure {sender.name} {type(exception).__name__}")


@signals.task_retry.connect
def on_retry(sender, reason, **_):
    note(f"retry {sender.name}")


@signals.before_task_publish.connect
def on_publish(sender, headers, body, **_):
    headers["published_by"] = "plain"


class Noted(celery.Task):
    """A base class with every hook."""

    def before_start(self, task_id, args, kwargs):
        note(f"before_start {self.name}")

    def on_success(self, retval, task_id, args, kwargs):
        note(f"on_success {self.name} {retval}")

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        note(f"on_failure {self.name} {exc}")

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        note(f"on_retry {self.name} {exc}")

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        note(f"after_return {self.name} {status}")


@shared_task
def add(x, y):
    return x + y


@shared_task
def total(numbers):
    return sum(numbers)


@shared_task(base=Noted)
def noted(value):
    return value


@shared_task(base=Noted, bind=True, autoretry_for=(ConnectionError,), max_retries=1, retry_backoff=0.05)
def noted_failure(self):
    raise ConnectionError(f"try {self.request.retries}")


@shared_task(bind=True, max_retries=3, default_retry_delay=0.01)
def stubborn(self, times):
    if self.request.retries < times:
        raise self.retry(exc=LookupError("not yet"))
    return self.request.retries


@shared_task(bind=True)
def about(self):
    return [self.request.id, self.request.published_by, self.request.delivery_info["routing_key"], self.name]


@shared_task
def shout(text):
    return text.upper()


@shared_task
def report(count):
    """A task that starts a canvas and leaves it to itself."""
    flow = chord([chain(add.s(n, 1), add.s(1)) for n in range(count)], total.s())
    return flow.delay().id


@shared_task
def fan_out():
    return group(add.s(n, n) for n in range(3)).delay().id
