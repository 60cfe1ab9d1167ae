"""How schedules stand, as the database is asked: what `preview.standing` says of one row, for all of them at once."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import Case, Count, IntegerField, Q, QuerySet, Value, When
from django.http import HttpRequest

from celeriac.admin.base import cap_of
from celeriac.ledger.database import alias_of, clock
from celeriac.schedules.models import Schedule
from celeriac.schedules.preview import OVERDUE

__all__ = ["SourceFilter", "StandingFilter", "counts", "rank", "standings"]

#: As the list has them: what stands wrong first, what is over last. What is "troubled" is on, but looks wrong.
ORDER = ("broken", "overdue", "troubled", "paused", "on", "off", "over")

SOURCES = {"settings": "Settings", "task": "Tasks", "table": "django-celery-beat"}


def standings(now: datetime) -> dict[str, Q]:
    """Return the condition of each standing; of a schedule one is true, and with "on" perhaps "troubled"."""
    live = Q(paused_at__isnull=True, enabled=True)
    since = now - timedelta(seconds=OVERDUE)
    fires = live & Q(next_tick__gte=since)
    none = live & Q(next_tick__isnull=True)
    return {
        "broken": none & ~Q(trouble=""),
        "overdue": live & Q(next_tick__lt=since),
        "troubled": fires & ~Q(trouble=""),
        "paused": Q(paused_at__isnull=False),
        "on": fires,
        "off": Q(paused_at__isnull=True, enabled=False),
        "over": none & Q(trouble=""),
    }


def rank(now: datetime) -> Case:
    """Return the place of a schedule's standing in `ORDER`."""
    known = standings(now)
    return Case(
        *(When(known[name], then=Value(place)) for place, name in enumerate(ORDER)), output_field=IntegerField()
    )


def counts(now: datetime) -> list[tuple[str, int]]:
    """Return how many schedules there are of each standing that any has; of the first 10,000."""
    rows: QuerySet[Any] = Schedule.objects.using(alias_of()).annotate(rank=rank(now)).values("rank")
    found = cap_of(rows).aggregate(**{name: Count("rank", filter=Q(rank=place)) for place, name in enumerate(ORDER)})
    found["on"] += found["troubled"]
    return [(name, count) for name, count in found.items() if count]


class StandingFilter(SimpleListFilter):
    """How it stands."""

    title, parameter_name = "how it stands", "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, "On, but troubled" if name == "troubled" else name.capitalize()) for name in ORDER]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        condition = standings(clock()).get(self.value() or "")
        return queryset if condition is None else queryset.filter(condition)


class SourceFilter(SimpleListFilter):
    """Where it is defined."""

    title, parameter_name = "source", "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterator[tuple[str, str]]:
        yield from SOURCES.items()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(source=self.value()) if self.value() else queryset
