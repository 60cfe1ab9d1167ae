"""Tasks that fail in every way that somebody may want another end of."""

from __future__ import annotations

import threading
from datetime import timedelta

from celery import shared_task
from django.dispatch import receiver

from celeriac import Cancel, Policy, Snooze, Task
from celeriac.signals import job_dead
from tests.shop.tasks import note


class TooManyRequests(ConnectionError):
    def __init__(self, seconds):
        super().__init__("slow down")
        self.retry_after = seconds


class Gone(LookupError):
    pass


class Locked(threading.ThreadError):
    """Cannot be pickled, and says nothing of use."""

    def __init__(self):
        super().__init__(threading.Lock())

    def __str__(self):
        raise RuntimeError("no text")


class Watched(Task):
    """Writes down its dead."""

    abstract = True

    def on_dead(self, job):
        attempts = [attempt.number for attempt in job.attempts.order_by("id")]
        note(self.path_of(job), f"{job.reason} {job.exception} {attempts}")

    def path_of(self, job):
        from celeriac.api import payload

        return payload.decode(job.args)[0]


@receiver(job_dead)
def write_down(job, **_):
    from celeriac.api import payload

    args = payload.decode(job.args)
    if args and str(args[0]).endswith("watched"):
        note(args[0], f"signal {job.task.rpartition('.')[2]}")


@shared_task(base=Watched, autoretry_for=(ConnectionError,), default_retry_delay=0.01, max_retries=1)
def watched(path, message="down"):
    raise ConnectionError(message)


@shared_task(base=Watched)
def stubborn_hook(path):
    raise ValueError("dead at once")


@shared_task(bind=True, retry_on={ConnectionError: Policy(max_retries=2, delay=0.01), TooManyRequests: Policy(delay=0)})
def picky(self, path, error, *args):
    note(path, self.request.retries)
    raise {"gone": Gone, "down": ConnectionError, "busy": TooManyRequests}[error](*args)


@shared_task(bind=True, autoretry_for=(LookupError,), discard_on=(Gone,), default_retry_delay=0.01, max_retries=3)
def discarding(self, path, error):
    note(path, self.request.retries)
    raise {"gone": Gone, "key": KeyError}[error]("order 7")


@shared_task(bind=True, autoretry_for=(Exception,), dont_autoretry_for=(Gone,), default_retry_delay=0.01)
def not_for_gone(self, path):
    note(path, self.request.retries)
    raise Gone("order 7")


@shared_task(bind=True, autoretry_for=(OSError,), default_retry_delay=0.05, retry_for=timedelta(seconds=1.5))
def for_a_while(self, path):
    note(path, self.request.retries)
    raise OSError("still down")


@shared_task(bind=True, retry_backoff=0.2, retry_jitter=False, max_retries=1)
def by_hand(self):
    if self.request.retries == 0:
        raise self.retry(exc=ConnectionError("by hand"))
    return self.request.retries


@shared_task(bind=True, autoretry_for=(Exception,), default_retry_delay=0.01, max_retries=5)
def own_limit(self, path):
    note(path, self.request.retries)
    try:
        {}["down"]
    except KeyError as error:
        raise self.retry(exc=error, max_retries=1) from error


@shared_task(bind=True)
def snoozing(self, path):
    note(path, self.request.retries)
    if len(open(path).readlines()) < 3:  # noqa: PTH123, SIM115
        raise Snooze(timedelta(milliseconds=20))
    return self.request.retries


@shared_task
def cancelling(reason):
    raise Cancel(reason)


@shared_task(autoretry_for=(Locked,), default_retry_delay=0.01, max_retries=1)
def unspeakable():
    raise Locked


@shared_task
def verbose():
    raise ValueError("x" * 1_000_000)


@shared_task(dead_on_expiry=True)
def punctual():
    pass
