"""Workers and queues, to look at."""

import json
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from celeriac.admin.base import ReadOnly
from celeriac.ledger.database import alias_of
from celeriac.ledger.models import Lease, Worker
from celeriac.templatetags.celeriac_show import ago

__all__ = ["QueueAdmin", "WorkerAdmin"]


class WorkerAdmin(ReadOnly):
    """The workers that have said they are there, the last to be seen first."""

    list_display = ("name", "process", "takes", "seen", "started", "leads", "jobs")
    list_display_links = None
    ordering = ("-seen_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        holder = Lease.objects.using(alias_of()).filter(name="upkeep").values("holder")[:1]
        rows: QuerySet[Any] = super().get_queryset(request).annotate(leader=holder)
        return rows

    @admin.display(description="Worker")
    def name(self, worker: Worker) -> str:
        return worker.hostname

    @admin.display(description="Process")
    def process(self, worker: Worker) -> str:
        pool = worker.pool.partition(":")[0].rpartition(".")[2]
        return f"pid {worker.pid}, {pool} x {worker.concurrency}"

    @admin.display(description="Queues")
    def takes(self, worker: Worker) -> str:
        return ", ".join(json.loads(worker.queues))

    @admin.display(description="Seen")
    def seen(self, worker: Worker) -> str:
        return ago(worker.seen_at)

    @admin.display(description="Started")
    def started(self, worker: Worker) -> str:
        return ago(worker.started_at)

    @admin.display(description="Duty")
    def leads(self, worker: Any) -> str:
        return "leads" if worker.leader == worker.id else ""

    @admin.display(description="Jobs")
    def jobs(self, worker: Worker) -> SafeString:
        query = urlencode({"state": "running", "worker": worker.id})
        return format_html('<a href="{}?{}">Running</a>', reverse("admin:celeriac_job_changelist"), query)


class QueueAdmin(ReadOnly):
    """What operators have said of queues; one that nobody spoke of is not in it."""

    list_display = ("name", "paused")
    list_display_links = None
    ordering = ("name",)
