"""The producer that dies: `python -m tests.chaos.producer ROUNDS SEED`. Prints how often it died where.

One process imports everything and forks a producer for each round: 200 starts of Django would take minutes.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections import Counter

import django
from django.conf import settings


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def ask(number: int) -> None:
    """One job, in the way each peer documents for use within a transaction."""
    from tests.chaos import tasks
    from tests.chaos.peers import id_of

    if settings.CHAOS_PEER == "celeriac":
        tasks.work.apply_async((number, 0.002), task_id=id_of(number))
    else:
        from django.db import transaction

        transaction.on_commit(lambda: tasks.work.apply_async((number, 0.002), task_id=id_of(number)))


def order(number: int, where: str) -> None:
    """Write an order and ask for its job in one transaction, and die at *where*."""
    from django.db import connection, transaction

    from celeriac import faults

    points = {"killed after INSERT": "insert.after_statement", "killed before the bell": "bell.before_ring"}
    if where in points:
        faults.armed(points[where], die).__enter__()  # for the life of this process
    with transaction.atomic():
        if where == "killed after COMMIT":
            transaction.on_commit(die)  # the first of the hooks: before a bell, or a publish
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO chaos_order (number) VALUES (%s)", [number])
        ask(number)
        if where == "killed before COMMIT":
            die()
        if where == "rolled back by an exception":
            raise RuntimeError("the request failed")
    # A bell rings from a thread: it gets its turn before this process ends.
    threading.Event().wait(0.05)


WHERES = [
    *("killed after INSERT", "killed before COMMIT", "killed after COMMIT", "killed before the bell"),
    *("rolled back by an exception", "killed at random", "killed at random", "not killed"),
]


def one_round(number: int, where: str, moment: float) -> None:
    child = os.fork()
    if child == 0:
        try:
            order(number, where)
        except RuntimeError:
            pass
        finally:
            os._exit(0)
    if where == "killed at random":
        # The moment is the input; the round trip of such a transaction is some milliseconds.
        threading.Event().wait(moment)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def main() -> None:
    rounds, seed = int(sys.argv[1]), int(sys.argv[2])
    django.setup()
    module = "ours" if settings.CHAOS_PEER == "celeriac" else "stock"
    app = __import__(f"tests.chaos.{module}", fromlist=["app"]).app
    app.loader.import_default_modules()
    app.set_default()
    dice = random.Random(seed)
    counts: Counter[str] = Counter()
    for number in range(1, rounds + 1):
        where = dice.choice(WHERES)
        counts[where] += 1
        one_round(number, where, dice.uniform(0.001, 0.03))
    for where, count in counts.items():
        if where != "not killed":
            print(where, count)


if __name__ == "__main__":
    main()
