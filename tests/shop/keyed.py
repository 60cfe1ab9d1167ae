"""Tasks with keys and lanes."""

from __future__ import annotations

import time
from datetime import timedelta

from celery import shared_task

from tests.shop.tasks import note


@shared_task(idempotency_key="inv-{number}")
def by_key(number, word="first"):
    return f"{number} {word}"


@shared_task(idempotency_key="inv-{number}", idempotency_scope="forever")
def for_good(number):
    return number


@shared_task(
    bind=True,
    idempotency_key=lambda number: f"strict-{number}",
    idempotency_conflict="raise",
    autoretry_for=(ValueError,),
    default_retry_delay=0.01,
)
def strict(self, number):
    if self.request.retries == 0:
        raise ValueError(number)
    return self.request.retries


@shared_task(idempotency_key="{number}", idempotency_conflict="replace")
def replacing(number, word):
    return word


@shared_task(idempotency_key="{number}", debounce=timedelta(seconds=0.3))
def later(number, word):
    return word


@shared_task(throttle=(2, timedelta(hours=1)))
def rarely(number):
    return number


@shared_task(exclusive="user-{user}")
def in_turn(user, path, number):
    note(path, f"{user} start {number}")
    time.sleep(0.01)
    note(path, f"{user} end {number}")


@shared_task
def exclaim(text):
    return f"{text}!"
