"""Bodies that say when they start and end, past any ledger, and the ways in which a body can go wrong."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction


def _note(what: str, task: object, number: int) -> None:
    # One write to a file opened for appending: lines of many processes do not mix, and a SIGKILL tears none.
    line = f"{what} {number} {os.getpid()} {task.request.retries} {time.monotonic():.6f}\n"
    file = os.open(settings.CHAOS_WITNESS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


@contextmanager
def witnessed(task: object, number: int) -> Iterator[None]:
    """Tell the witness that the body of job *number* starts, and how it ends if it lives to."""
    _note("start", task, number)
    try:
        yield
    except BaseException:
        _note("raised", task, number)
        raise
    _note("end", task, number)


def take(seconds: float) -> None:
    """A body takes time: that is what it plays."""
    threading.Event().wait(seconds)


def is_first(number: int) -> bool:
    """Whether no body of this job has asked before."""
    mark = Path(f"{settings.CHAOS_WITNESS}.began-{number}")
    began = mark.exists()
    mark.touch()
    return not began


@shared_task(bind=True)
def work(self, number, seconds):
    """An ordinary job."""
    with witnessed(self, number):
        take(seconds)


# A body that talks to a database may be told that it is away: whoever writes one for production says "again".
AGAIN = {"autoretry_for": (OperationalError, InterfaceError), "default_retry_delay": 0.2, "max_retries": 100}


@shared_task(bind=True)
def linger(self, number, first, again):
    """A job whose first body takes *first* seconds, so that it is there to be hit, and the next ones *again*."""
    with witnessed(self, number):
        take(first if is_first(number) else again)


@shared_task(bind=True, atomic=True, **AGAIN)
def effect(self, number, seconds, first=0.0):
    """A job whose effect is a row, in one transaction with its own end where the peer can do that."""
    with transaction.atomic() if settings.CHAOS_PEER == "celery" else nullcontext(), witnessed(self, number):
        take(first if first and is_first(number) else seconds)
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO chaos_effect (number) VALUES (%s)", [number])


@shared_task(bind=True)
def pill(self, number, sig="SIGKILL"):
    """A poison pill: it kills its process each time."""
    with witnessed(self, number):
        os.kill(os.getpid(), signal.Signals[sig])
        take(30)  # a signal to one's own process may take a moment


@shared_task(bind=True)
def leave(self, number, always):
    """`os._exit()` in a body, each time or the first time only."""
    with witnessed(self, number):
        if is_first(number) or always:
            os._exit(3)


@shared_task(bind=True)
def devour(self, number):
    """More memory than there is."""
    with witnessed(self, number):
        bytearray(1 << 62)


@shared_task(bind=True)
def tick(self, schedule):
    """The job of a schedule's tick; its number is made of the second and the schedule."""
    told = (self.request.headers or {}).get("celeriac_tick")
    second = datetime.fromisoformat(told).timestamp() if told else time.time()
    with witnessed(self, int(second) * 10 + schedule):
        pass


@shared_task(bind=True, soft_time_limit=0.5, time_limit=1.5)
def hang(self, number, seconds, how="wait"):
    """A body that hears the soft limit and goes on; "regex" never gives the interpreter to another thread either."""
    until = time.monotonic() + seconds
    with witnessed(self, number):
        while time.monotonic() < until:
            try:
                if how == "regex":
                    re.match(r"(a|a)+$", "a" * 64 + "b")  # 2 ** 64 steps
                else:
                    take(until - time.monotonic())
            except SoftTimeLimitExceeded:
                continue
