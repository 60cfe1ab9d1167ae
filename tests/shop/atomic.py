"""Tasks whose effects happen exactly once, and some that try to have them otherwise; for workers that import this."""

from __future__ import annotations

import os
import signal
import time

from celery import shared_task
from celery.exceptions import Ignore
from django.contrib.auth.models import Permission
from django.db import DatabaseError, connections, transaction

from celeriac import faults
from tests.shop.models import Customer
from tests.shop.tasks import add, hold, lines_of, note

ALIAS = os.environ.get("CELERIAC_TEST_ATOMIC") or os.environ.get("CELERIAC_TEST_LEDGER", "default")


KEPT = []


def arm(point, action):
    """For the rest of this process's life."""
    KEPT.append(faults.armed(point, action))
    KEPT[-1].__enter__()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def swallow():
    """Break PostgreSQL's transaction and say nothing."""
    try:
        with connections[ALIAS].cursor() as cursor:
            cursor.execute("SELECT * FROM nothing_of_this_name")
    except DatabaseError:
        pass


def fail_on_commit():
    raise ZeroDivisionError("after the commit")


@shared_task(atomic=ALIAS, bind=True, max_retries=2)
def sign_up(self, name, then="", path=None, gate=None):  # noqa: C901, PLR0912 - a case a line
    """Make a customer, then end as told; `path` counts the runs."""
    Customer.objects.using(ALIAS).create(name=name, email=f"{name}@example.com")
    if path:
        note(path, "run")
    first = not path or len(lines_of(path)) == 1
    match then:
        case "fail":
            raise ValueError("no")
        case "fail after enqueueing":
            note.delay(path, "never")
            raise ValueError("no")
        case "enqueue":
            note.delay(path, "enqueued")
        case "retry" if self.request.retries == 0:
            raise self.retry(countdown=0, exc=ConnectionError("once more"))
        case "ignore":
            raise Ignore("not today")
        case "replace":
            raise self.replace(add.s(3, 4))
        case "return an object":
            return object()
        case "leave":
            raise SystemExit(3)
        case "die" if first:
            die()
        case "die before the commit" if first:
            arm("finish.after_statement", die)
        case "wait at the commit" if first:
            arm("atomic.before_commit", lambda: hold(gate, path, "at the commit"))
        case "wait":
            hold(gate)
        case "swallow":
            swallow()
        case "idle":
            with connections[ALIAS].cursor() as cursor:
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 20")
            time.sleep(0.1)
        case "close":
            connections[ALIAS].close()
        case "violate":
            Permission.objects.using(ALIAS).create(name="p", codename="p", content_type_id=999_999)
        case "tell":
            transaction.on_commit(lambda: note(path, "committed"), using=ALIAS)
        case "tell badly":
            transaction.on_commit(fail_on_commit, using=ALIAS)
        case "say":
            self.update_state(state="PROGRESS", meta={"done": 1})
    return name


@shared_task(atomic=ALIAS, autoretry_for=(ConnectionError,), default_retry_delay=0.01, max_retries=2, bind=True)
def flaky_sign_up(self, name, failures):
    Customer.objects.using(ALIAS).create(name=name, email="")
    if self.request.retries < failures:
        raise ConnectionError(f"attempt {self.request.retries}")
    return self.request.retries


@shared_task(atomic=ALIAS)
def rename_both(first, second, mine, other, path):
    """Lock one customer, say so, wait until somebody said the same of the other, lock that."""
    note(path, "run")
    customers = Customer.objects.using(ALIAS)
    customers.filter(pk=first).update(name=f"{mine.rsplit('/', 1)[-1]}")
    note(mine, "locked")
    hold(other)
    customers.filter(pk=second).update(name=f"{mine.rsplit('/', 1)[-1]}")


@shared_task(atomic=ALIAS)
def lengthen(pk, path, gate):
    """Read, wait, write: what a snapshot that is too old must not do."""
    customer = Customer.objects.using(ALIAS).get(pk=pk)
    note(path, "read")
    hold(gate)
    customer.name += "!"
    customer.save(using=ALIAS)


@shared_task
def session(leave=""):
    """Return the database session of this body's connection, and leave it as told."""
    connection = connections[ALIAS]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
    match leave:
        case "in a transaction":
            transaction.atomic(using=ALIAS).__enter__()
            Customer.objects.using(ALIAS).create(name="left", email="")
        case "out of autocommit":
            connection.set_autocommit(False)
            Customer.objects.using(ALIAS).create(name="left", email="")
        case "broken":
            swallow()
    return pid
