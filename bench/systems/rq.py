"""RQ over Valkey: two workers, each of which forks for each job, as is its default.

This file is their program too: it loads Django before RQ forks, as django-rq does and RQ's documentation advises.
Otherwise each realistic job would load it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from systems import IN_STAND, VALKEY, System, django_setup

if IN_STAND:
    import bodies
    from redis import Redis
    from rq import Queue

    queue = Queue(connection=Redis.from_url(VALKEY))


class Rq(System):
    title = "RQ"
    guarantees = "a message in Valkey's memory; a killed worker's job is found and failed later; result kept 500 s"
    distribution = "rq"
    requirements = ("rq", "Django", "psycopg[binary]")
    lock = "rq"
    pace = 150

    def worker_commands(self, processes: int) -> list[list[str]]:
        return [[sys.executable, "-m", "systems.rq", "worker", "--url", VALKEY, "--quiet"] for _ in range(processes)]

    def enqueue_one(self, body: str, number: int) -> None:
        queue.enqueue(bodies.BODIES[body], number)

    def enqueue_many(self, body: str, numbers: Iterable[int]) -> None:
        queue.enqueue_many([Queue.prepare_data(bodies.BODIES[body], (number,)) for number in numbers])


SYSTEM = Rq()

if __name__ == "__main__":
    django_setup()
    import shop.models  # noqa: F401
    from django.db import connections
    from rq.cli import main

    connections.all()  # loads the driver; connects nowhere

    main()
