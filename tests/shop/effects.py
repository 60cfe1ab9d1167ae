"""A task with an effect that another party has, whose every run follows a script; for workers that import this."""

from __future__ import annotations

import os
import signal

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction

from celeriac import InDoubt
from tests.shop.atomic import ALIAS
from tests.shop.tasks import lines_of, note


class TookTooLong(Exception):
    pass


class Stripe:
    """The other party: notes what it is asked, then follows the script."""

    def __init__(self, task, path, how):
        self.task, self.path, self.how = task, path, how

    def charge(self, amount, currency="eur"):
        note(self.path, f"charge {amount} {currency} {self.task.idempotency_key}")
        if self.how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if isinstance(self.how, str) and self.how in ERRORS:
            raise ERRORS[self.how]
        return object() if self.how == "unencodable" else {"charge": f"ch_{amount}"}


ERRORS = {
    "refuse": ValueError("no"),
    "time out": TimeoutError(),
    "late": TookTooLong(),
    "limit": SoftTimeLimitExceeded(),
}


def follow(self, path, runs, doubt):
    note(path, f"run {self.idempotency_key}")
    how, after = runs[min(lines_of(path).count(f"run {self.idempotency_key}"), len(runs)) - 1]
    stripe = Stripe(self, path, how)
    try:
        answer = self.once("charge", stripe.charge, 7, currency="usd", doubtful=(TimeoutError, TookTooLong))
    except InDoubt as error:
        note(path, f"in doubt {error.name} {error.key}")
        if doubt == "record":
            answer = error.record("said so")
        elif doubt == "repeat":
            answer = error.repeat()
        else:
            raise
    if after == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if after == "retry":
        raise self.retry(countdown=0, exc=ConnectionError("after it"))
    if after == "fail":
        raise ConnectionError("after it")
    return answer


@shared_task(bind=True, max_retries=5)
def pay(self, path, runs, doubt="raise"):
    return follow(self, path, runs, doubt)


@shared_task(bind=True, max_retries=5)
def pay_in_transaction(self, path, runs, doubt="raise"):
    with transaction.atomic(using=ALIAS):
        return follow(self, path, runs, doubt)


@shared_task(bind=True, max_retries=5, atomic=ALIAS)
def pay_atomically(self, path, runs, doubt="raise"):
    return follow(self, path, runs, doubt)


@shared_task(bind=True)
def steps(self, path):
    """Two effects, and the keys to have them with."""
    first = self.once("first", lambda: note(path, self.idempotency_key))
    second = self.once("second", lambda: note(path, self.idempotency_key))
    return [self.idempotency_key, first, second]


@shared_task(bind=True)
def calls_another(self, path):
    """As a function, and eagerly: neither is this job's run."""
    return [steps(path), steps.apply((path,), task_id="eager").get()]


@shared_task(bind=True)
def named(self, name):
    return self.once(name, len, "four")
