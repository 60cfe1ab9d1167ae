"""What waits for what, for SQLite, MySQL and MariaDB."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Count, F

from celeriac.ledger.models import Edge, Job
from celeriac.ledger.states import State

__all__ = ["wait_again"]


def wait_again(back: Collection[UUID], alias: str) -> None:
    """Let what still waits for others wait for the jobs *back* from their end as well, which will be counted again."""
    children = Edge.objects.using(alias).filter(parent__in=back).values("child_id").annotate(n=Count("id"))
    for child in children.order_by("child_id"):
        waiting = Job.objects.using(alias).filter(id=child["child_id"], state=State.WAITING, waits_for__gt=0)
        waiting.update(waits_for=F("waits_for") + child["n"])
