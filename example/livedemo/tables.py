"""What the shop's tables say. Importable only after `django.setup()`."""

from dataclasses import dataclass

from customers.models import Customer
from customers.views import STATES
from django.db.models import Count

from celeriac.models import Job

__all__ = ["STATES", "Snapshot", "counts", "snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All jobs and all customers at one moment."""

    jobs: dict[str, str]  # id → state
    customers: set[str]  # addresses


def counts() -> dict[str, int]:
    """How many jobs are in each state."""
    found = dict(Job.objects.order_by().values_list("state").annotate(Count("pk")))
    return {state: found.get(state, 0) for state in STATES}


def snapshot() -> Snapshot:
    return Snapshot(
        jobs={str(job_id): state for job_id, state in Job.objects.values_list("pk", "state")},
        customers=set(Customer.objects.values_list("email", flat=True)),
    )
