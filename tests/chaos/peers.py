"""How each peer is asked for jobs, and what its records say of them. A job's number makes its id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction

NAMESPACE = 0xC4A0_5000_0000_4000_8000 << 48


class Call(NamedTuple):
    """One job to ask for: the task's name in `tasks.py`, what follows the number, and calling options."""

    task: str
    args: tuple[object, ...] = ()
    options: dict[str, object] = {}


class End(NamedTuple):
    """What the records say of a job; `state` in Celeriac's words for both peers."""

    state: str
    reason: str = ""
    attempt: int = 0
    losses: int = 0

    @property
    def is_final(self) -> bool:
        return self.state in {"succeeded", "dead", "cancelled"}


def id_of(number: int) -> str:
    return str(UUID(int=NAMESPACE | number))


class Celeriac:
    """The one under test."""

    name = "celeriac"
    app = "tests.chaos.ours"

    def send(self, calls: Sequence[tuple[int, Call]]) -> None:
        """Ask for all or none."""
        from tests.chaos import tasks
        from tests.chaos.ours import app

        with transaction.atomic():
            app.enqueue_many(
                getattr(tasks, call.task).s(number, *call.args).set(task_id=id_of(number), **call.options)
                for number, call in calls
            )

    def ends(self) -> dict[int, End]:
        """Return what the ledger says, by number."""
        from celeriac.models import Job

        rows = Job.objects.values_list("id", "state", "reason", "attempt", "losses")
        return {row[0].int - NAMESPACE: End(*row[1:]) for row in rows}

    def is_done(self, numbers: Iterable[int]) -> bool:
        from celeriac.models import Job

        wanted = set(numbers)
        open_ = Job.objects.filter(finished_at__isnull=True).values_list("id", flat=True)
        return not any(id_.int - NAMESPACE in wanted for id_ in open_)

    def holds_any(self, hostname: str) -> bool:
        """Whether the ledger says of a worker, by Celery's node name, that it is there or runs something."""
        from celeriac.models import Job, Worker

        ids = list(Worker.objects.filter(hostname=hostname).values_list("id", flat=True))
        return bool(ids) and Job.objects.filter(worker__in=ids, state="running").exists()

    def has_veteran(self, hostnames: list[str]) -> bool:
        """Whether one of the workers of these names, which live, has been there for a heartbeat."""
        from celeriac.conf import settings
        from celeriac.ledger.database import clock
        from celeriac.models import Worker

        beat, now = timedelta(seconds=settings().HEARTBEAT_SECONDS), clock()
        return Worker.objects.filter(hostname__in=hostnames, started_at__lt=now - beat).exists()


class Stock:
    """Celery as it is, late acks and results in the database."""

    name = "celery"
    app = "tests.chaos.stock"
    STATES = {"SUCCESS": "succeeded", "FAILURE": "dead", "REVOKED": "cancelled", "STARTED": "running"}

    def send(self, calls: Sequence[tuple[int, Call]]) -> None:
        """Ask one by one: there is no other way."""
        from tests.chaos import tasks
        from tests.chaos.stock import app

        app.set_current()  # in this thread too, or a shared task asks an app that nobody configured

        for number, call in calls:
            getattr(tasks, call.task).apply_async((number, *call.args), task_id=id_of(number), **call.options)

    def ends(self) -> dict[int, End]:
        """Return what the results say, by number."""
        from django_celery_results.models import TaskResult

        rows = TaskResult.objects.values_list("task_id", "status")
        return {UUID(id_).int - NAMESPACE: End(self.STATES.get(status, "ready")) for id_, status in rows}

    def is_done(self, numbers: Iterable[int]) -> bool:
        ends = self.ends()
        return all(number in ends and ends[number].is_final for number in numbers)


def effects() -> list[int]:
    """Return the numbers in the table that atomic jobs write to, one for each row."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM chaos_effect")
        return [number for (number,) in cursor.fetchall()]


def make_tables() -> None:
    """Make the project's own tables: no constraint on them would hide a doubled effect."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE chaos_effect (number bigint NOT NULL)")
        cursor.execute("CREATE TABLE chaos_order (number bigint NOT NULL)")
