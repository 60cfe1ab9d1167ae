"""Schedules, what stands wrong first; the page of each; and their ticks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import get_current_timezone

from celeriac.admin import scheduling
from celeriac.admin.base import ReadOnly, WithPages
from celeriac.admin.schedule_page import Past, history, story_of
from celeriac.admin.schedule_words import exact, following, reason_words, words, zone
from celeriac.admin.standings import SOURCES, SourceFilter, StandingFilter, counts, rank
from celeriac.ledger.database import alias_of, clock
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.preview import standing
from celeriac.templatetags.celeriac_show import ago, badge

__all__ = ["ScheduleAdmin", "TickAdmin"]

#: What the list does not show; the database need not send it.
_BIG = ("args", "kwargs", "options")


class ScheduleList(ChangeList):
    """Schedules by how they stand, each with its latest tick: three statements for a page, however many there are."""

    now: datetime

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Schedule]:
        self.now = clock()
        self.root_queryset = self.root_queryset.defer(*_BIG).annotate(rank=rank(self.now))
        found: QuerySet[Schedule] = super().get_queryset(request, exclude_parameters)
        return found

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        return ["rank", "name"]

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        first = self.page_num == 1 and not self.show_all
        rows: list[Any] = self.paginator.first[: self.list_per_page] if first else list(self.result_list)
        latest = _latest(rows)
        for row in rows:
            row.now, row.past = self.now, latest.get(row.pk)
        self.result_list = rows

    @property
    def standings(self) -> list[tuple[str, int, str]]:
        """Each standing that there is, with how many schedules, and the address of their list."""
        return [(name, count, f"?{urlencode({'standing': name})}") for name, count in counts(self.now)]


def _latest(rows: Sequence[Schedule]) -> dict[int, Past]:
    """Return the tick of the latest instant of each of *rows*, by the row's key: a look into an index for each."""
    alias = alias_of()
    ticks = Tick.objects.using(alias).filter(schedule=OuterRef("name")).order_by("-instant")
    asked = Schedule.objects.using(alias).filter(pk__in=[row.pk for row in rows])
    found = dict(asked.annotate(latest=Subquery(ticks.values("pk")[:1])).values_list("pk", "latest"))
    known = Tick.objects.using(alias).in_bulk([id_ for id_ in found.values() if id_ is not None])
    told = {past.tick.pk: past for past in history(known.values(), get_current_timezone())}
    return {key: told[id_] for key, id_ in found.items() if id_ in told}


class ScheduleAdmin(WithPages):
    """Schedules, for whoever wonders why something did not happen."""

    change_list_template = "admin/celeriac/schedule/change_list.html"
    list_display = ("what", "when", "to_come", "latest", "source_named")
    list_display_links = ("what",)
    list_filter = (StandingFilter, SourceFilter)
    search_fields = ("name", "task")
    search_help_text = "A part of the name or of the task's name"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ScheduleList]:
        return ScheduleList

    # -- its columns

    @admin.display(description="Schedule")
    def what(self, row: Any) -> SafeString:
        trouble = format_html('<span class="celeriac-trouble">{}</span>', row.trouble) if row.trouble else ""
        shown = '{} <span class="celeriac-task">{}</span><span class="celeriac-args">{}</span>{}'
        return format_html(shown, badge(standing(row, row.now)), row.name or "(no name)", row.task, trouble)

    @admin.display(description="Due")
    def when(self, row: Schedule) -> str:
        return words(row)

    @admin.display(description="Next run")
    def to_come(self, row: Any) -> SafeString | str:
        ahead = following(row, 1, row.now)
        if not ahead.ticks:
            return ahead.problem or "-"
        [one] = ahead.ticks
        why = (
            "nobody has seen to it" if one.reason == "overdue" else one.reason and f"no job: {reason_words(one.reason)}"
        )
        return format_html(
            '{}<span class="celeriac-line celeriac-quiet">{}{}</span>',
            exact(one.instant, zone(row)), ago(one.instant), f" · {why}" if why else "",
        )  # fmt: skip

    @admin.display(description="Last tick")
    def latest(self, row: Any) -> SafeString | str:
        if row.past is None:
            return "-"
        past: Past = row.past
        shown = badge(past.outcome)
        if past.job is not None:
            address = reverse("admin:celeriac_job_change", args=[past.job.id])
            shown = format_html('<a href="{}">{}</a>', address, shown)
        line = '{}<span class="celeriac-line celeriac-quiet">{}{}</span>'
        return format_html(line, shown, ago(past.tick.instant), f" · {cut}" if (cut := past.why[:100]) else "")

    @admin.display(description="Source")
    def source_named(self, row: Schedule) -> str:
        return SOURCES.get(row.source, row.source)

    # -- the pages

    def get_urls(self) -> list[URLPattern]:
        named, operate = (self.admin_site.admin_view(view) for view in (self.named_view, self.operate_view))
        ours = [
            path("named/", named, name="celeriac_schedule_named"),
            path("<int:id_>/operate/<str:verb>/", operate, name="celeriac_schedule_operate"),
        ]
        return [*ours, *super().get_urls()]

    def named_view(self, request: HttpRequest) -> HttpResponse:
        """Go to the schedule of a name, which may hold what no path can; of one that is gone, to its ticks."""
        self.require_view(request)
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        name = request.GET.get("name", "").replace("\0", "")
        key = self.get_queryset(request).filter(name=name).values_list("pk", flat=True).first()
        if key is not None:
            return HttpResponseRedirect(reverse("admin:celeriac_schedule_change", args=[key]))
        messages.warning(request, f"There is no schedule {name} any more. These are its ticks.")
        ticks = reverse("admin:celeriac_tick_changelist")
        return HttpResponseRedirect(f"{ticks}?{urlencode({'schedule': name})}")

    def operate_view(self, request: HttpRequest, id_: int, verb: str) -> HttpResponse:
        """Do something to a schedule."""
        return scheduling.operate(self, request, id_, verb)

    def show(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show one schedule; its definition is changed where it was written."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404("There is no such schedule (any more).")
        return self.page(request, "schedule/page.html", row.name or "(no name)", story_of(row))

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the schedule: what operators did to it is on its page."""
        return self.change_view(request, object_id)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Schedule | None:
        try:
            found: Schedule | None = self.get_queryset(request).filter(pk=int(object_id)).first()
        except (ValueError, OverflowError):
            return None
        return found


class TickList(ChangeList):
    """Ticks with their jobs."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        first = self.page_num == 1 and not self.show_all
        rows: list[Any] = self.paginator.first[: self.list_per_page] if first else list(self.result_list)
        self.result_list = rows
        for tick, past in zip(rows, history(rows, get_current_timezone()), strict=True):
            tick.past = past


class TickAdmin(ReadOnly):
    """What became of each instant at which a schedule was due, the latest first."""

    list_display = ("what", "moment", "late", "outcome_shown", "reason_given", "job_link")
    list_display_links = None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[TickList]:
        return TickList

    def get_ordering(self, request: HttpRequest) -> Any:
        # Each has an index: a schedule's ticks as they were due, all as they were seen to.
        return ["-instant"] if "schedule" in request.GET else ["-id"]

    @admin.display(description="Schedule")
    def what(self, tick: Tick) -> SafeString:
        query = urlencode({"name": tick.schedule})
        shown = '<a class="celeriac-task" href="{}?{}">{}</a>'
        return format_html(shown, reverse("admin:celeriac_schedule_named"), query, tick.schedule or "(no name)")

    @admin.display(description="Due")
    def moment(self, tick: Any) -> SafeString:
        shown: SafeString = tick.past.local
        return shown

    @admin.display(description="Late")
    def late(self, tick: Any) -> str:
        return str(tick.past.late)

    @admin.display(description="Outcome")
    def outcome_shown(self, tick: Any) -> SafeString:
        return badge(tick.past.outcome)

    @admin.display(description="Why")
    def reason_given(self, tick: Any) -> str:
        return str(tick.past.why)

    @admin.display(description="Job")
    def job_link(self, tick: Any) -> SafeString | str:
        if tick.past.job is None:
            return "-" if tick.job is None else "its row is deleted"
        address = reverse("admin:celeriac_job_change", args=[tick.job])
        return format_html('<a href="{}">{}</a>', address, tick.past.job.task)
