"""The list of jobs, the dead first, and the addresses of what can be done to them."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from celeriac.admin import editing, grouping, operating
from celeriac.admin.base import WithPages, may_operate, require_operate
from celeriac.admin.filters import ALL, FILTERS, selection_of, states_of
from celeriac.admin.job_page import story_of
from celeriac.admin.patience import TookTooLong, in_time
from celeriac.ledger.models import Job
from celeriac.ledger.operators import VERBS
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import State
from celeriac.templatetags.celeriac_show import ago, badge, call

__all__ = ["JobAdmin"]

#: Of arguments the list shows the beginning; the database need not send the rest.
SHOWN = 100
_BIG = ("args", "kwargs", "headers", "result", "error", "children", "progress")


class JobList(ChangeList):
    """The jobs of a selection: the sidebar, the search and "all that match" are the same one."""

    selection: Selection

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Job]:
        self.selection = selection_of(request.GET.dict())
        rows = self.selection.rows().defer(*_BIG)
        self.root_queryset = rows.annotate(args_cut=Left("args", SHOWN), kwargs_cut=Left("kwargs", SHOWN))
        found: QuerySet[Job] = super().get_queryset(request, exclude_parameters)
        return found

    def get_filters(self, request: HttpRequest) -> Any:
        found = super().get_filters(request)
        if rest := found[2]:
            # Django would narrow the list by it, and "all that match" would be more than is listed.
            raise IncorrectLookupParameters(f"No filter of a selection: {', '.join(rest)}")
        return found

    def get_results(self, request: HttpRequest) -> None:
        with in_time():
            super().get_results(request)
            if self.page_num == 1:
                self.result_list = self.paginator.first[: self.list_per_page]
            else:
                self.result_list = list(self.result_list)

    @property
    def may_search_all(self) -> bool:
        """Whether nothing was found only because the search kept to one state."""
        return bool(self.query) and not self.selection.ids and bool(self.selection.states)

    @property
    def all_states(self) -> str:
        """The address of the same search in all states."""
        return self.get_query_string({"state": ALL})

    @property
    def verbs(self) -> list[str]:
        """The verbs for all that match."""
        return [verb for verb in VERBS if operating.takes(verb, self.selection.states)]


class JobAdmin(WithPages):
    """Jobs, for whoever has been woken up by them."""

    change_list_template = "admin/celeriac/job/change_list.html"
    list_display = ("what", "why", "attempts", "moments", "where")
    list_display_links = ("what",)
    list_filter = FILTERS
    search_fields = ("task",)  # shows the box; what it finds is the selection's business
    search_help_text = "An id, a part of the task's name, or words of the arguments"
    actions = ("replay", "discard", "cancel")

    # -- the list

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[JobList]:
        return JobList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return queryset, False

    def get_ordering(self, request: HttpRequest) -> Any:
        # Each has an index. Ids are made in the order of time, except those that came over the broker.
        return ["-finished_at"] if request.GET.get("state", State.DEAD) == State.DEAD else ["-id"]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        states = states_of(request.GET.dict())
        return {name: action for name, action in found.items() if name not in VERBS or operating.takes(name, states)}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method == "POST":
            require_operate(request)
        context = {"may_operate": may_operate(request), "cap": self.cap, **(extra_context or {})}
        try:
            return super().changelist_view(request, context)
        except TookTooLong as error:
            return self.page(request, "job/refused.html", "That takes too long", {"why": str(error)}, status=503)

    @admin.action(description="Replay…", permissions=["operate"])
    def replay(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse:
        return operating.asked(self, request, "replay", _chosen(request))

    @admin.action(description="Discard…", permissions=["operate"])
    def discard(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse:
        return operating.asked(self, request, "discard", _chosen(request))

    @admin.action(description="Cancel…", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse:
        return operating.asked(self, request, "cancel", _chosen(request))

    # -- its columns

    @admin.display(description="Job")
    def what(self, job: Any) -> SafeString:
        arguments = call(job.args_cut, job.kwargs_cut)
        return format_html(
            '{} <span class="celeriac-task">{}</span><span class="celeriac-args">{}</span>',
            badge(job.state),
            job.task,
            arguments,
        )

    @admin.display(description="Queue", ordering=None)
    def where(self, job: Job) -> str:
        return job.queue

    @admin.display(description="Reason")
    def why(self, job: Job) -> SafeString:
        name = job.exception.rpartition(".")[2]
        line = '{}<span class="celeriac-exception" title="{}">{}</span>'
        return format_html(line, job.reason, job.exception, name)

    @admin.display(description="Attempts")
    def attempts(self, job: Job) -> str:
        replays = f" · {job.replays} replays" if job.replays > 1 else " · replayed" if job.replays else ""
        return f"{job.attempt}{replays}"

    @admin.display(description="When")
    def moments(self, job: Job) -> SafeString:
        asked = format_html('<span class="celeriac-line celeriac-quiet">asked for {}</span>', ago(job.created_at))
        if job.state == State.SCHEDULED:
            return format_html("due {}{}", ago(job.run_at), asked)
        moment, what = (job.finished_at, "ended") if job.finished_at else (job.started_at, "started")
        return format_html("{} {}{}", what, ago(moment), asked) if moment else asked

    # -- the pages

    def get_urls(self) -> list[URLPattern]:
        def of(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
            def bound(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
                return view(self, request, *args, **kwargs)

            return self.admin_site.admin_view(bound)

        ours = [
            path("groups/", of(grouping.groups), name="celeriac_job_groups"),
            path("operate/<str:verb>/", of(operating.operate), name="celeriac_job_operate"),
            path("<uuid:id_>/edit/", of(editing.edit), name="celeriac_job_edit"),
        ]
        return [*ours, *super().get_urls()]

    def show(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show one job; it has no form, since nobody changes a row by hand."""
        job = self.get_object(request, object_id)
        if job is None:
            raise Http404("There is no such job; ended ones are deleted after a while (RETENTION, DEAD_RETENTION).")
        return self.page(request, "job/page.html", job.task, story_of(job))

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the job: what operators did to it is on its page."""
        return self.change_view(request, object_id)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Job | None:
        try:
            found: Job | None = self.get_queryset(request).filter(pk=object_id).first()
        except (ValidationError, ValueError):
            return None
        return found


def _chosen(request: HttpRequest) -> Selection:
    """Return what is ticked, or all that match, as filters: nobody sends a million ids."""
    if request.POST.get("select_across") == "1":
        return selection_of(request.GET.dict())
    return Selection.of(*request.POST.getlist(ACTION_CHECKBOX_NAME))
