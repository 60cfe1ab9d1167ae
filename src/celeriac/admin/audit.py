"""Who did what, when, why and from where: read by all who may look, written by the verbs alone."""

import json
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from celeriac.admin.base import ReadOnly, WithPages, by, require_operate
from celeriac.admin.job_page import differences
from celeriac.api import operate
from celeriac.ledger.audit import Action, Change
from celeriac.ledger.database import alias_of
from celeriac.ledger.models import Job
from celeriac.ledger.operators import VERBS
from celeriac.ledger.selection import Selection
from celeriac.schedules.operate import BY_HAND
from celeriac.templatetags.celeriac_show import ago, badge

__all__ = ["ActionAdmin", "ChangeAdmin"]


class _Of(SimpleListFilter):
    values: tuple[str, ...] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in self.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


class StateFilter(_Of):
    """Whether it goes on."""

    title, parameter_name, values = "state", "state", ("open", "done", "stopped")


class VerbFilter(_Of):
    """What was done."""

    title, parameter_name, values = "verb", "verb", (*VERBS, *BY_HAND)


class ActionAdmin(WithPages):
    """What operators asked for, the latest first, and how far each has come."""

    list_display = ("what", "actor", "selected", "reason_given", "progress", "asked")
    list_display_links = ("what",)
    list_filter = (StateFilter, VerbFilter)
    ordering = ("-created_at",)

    @admin.display(description="Action")
    def what(self, action: Action) -> SafeString:
        return format_html("{} {}", badge(action.state), action.verb)

    @admin.display(description="On")
    def selected(self, action: Action) -> SafeString | str:
        return _on(action)

    @admin.display(description="Reason")
    def reason_given(self, action: Action) -> str:
        return action.reason if len(action.reason) <= 80 else f"{action.reason[:79]}…"

    @admin.display(description="Changed")
    def progress(self, action: Action) -> str:
        if action.schedule and not action.matched:
            return "-"
        skipped = f" · {action.skipped:,} skipped" if action.skipped else ""
        return f"{action.changed:,} of {action.matched:,}{skipped}"

    @admin.display(description="Asked for")
    def asked(self, action: Action) -> str:
        return ago(action.created_at)

    def get_urls(self) -> list[URLPattern]:
        stop = path("<uuid:id_>/stop/", self.admin_site.admin_view(self.stop_view), name="celeriac_action_stop")
        return [stop, *super().get_urls()]

    def show(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show one action, how far it is, and the latest of what it changed."""
        action = self._get(request, object_id)
        changes = Change.objects.using(alias_of()).filter(action_id=action.pk).order_by("-id")[:50]
        context = {
            "action": action,
            "selected": _on(action),
            "counted": bool(action.matched or not action.schedule),
            "jobs": _asked_for(action),
            "options": _options(action),
            "skipped": json.loads(action.options).get("skips", {}),
            "done": action.changed + action.skipped,
            "changes": [(change, differences(change.diff)) for change in changes],
        }
        return self.page(request, "action/page.html", f"{action.verb.capitalize()} by {action.actor}", context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the action, which is its own history."""
        return self.change_view(request, object_id)

    def stop_view(self, request: HttpRequest, id_: Any) -> HttpResponse:
        """Stop an open action; what it did stays."""
        require_operate(request)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        action = self._get(request, id_)
        stopped = operate.stop(action, by(request, request.POST.get("reason", "").replace("\0", "")[:1000]))
        if stopped:
            messages.success(request, f"Stopped. {action.changed:,} of {action.matched:,} jobs were changed.")
        else:
            messages.warning(request, f"It was over already: {action.state}.")
        return HttpResponseRedirect(reverse("admin:celeriac_action_change", args=[action.pk]))

    def _get(self, request: HttpRequest, id_: Any) -> Action:
        try:
            found: Action | None = self.get_queryset(request).filter(pk=id_).first()
        except (ValidationError, ValueError):
            found = None
        if found is None:
            raise Http404("There is no such action.")
        return found


def _on(action: Action) -> SafeString | str:
    """Return what an action was done to, with a link where that is a schedule."""
    if not action.schedule:
        return action.selected
    address = f"{reverse('admin:celeriac_schedule_named')}?{urlencode({'name': action.schedule})}"
    return format_html('schedule <a href="{}">{}</a>', address, action.schedule)


def _asked_for(action: Action) -> list[tuple[UUID, Job | None]]:
    """Return the first of the jobs that were asked for of a schedule; None where the row is deleted."""
    ids = Selection.from_json(action.selection).ids[:50] if action.schedule else ()
    found = Job.objects.using(alias_of()).only("id", "task", "state").in_bulk(ids)
    return [(id_, found.get(id_)) for id_ in ids]


def _options(action: Action) -> list[tuple[str, str]]:
    """Return what the operator chose besides, in words."""
    chosen: dict[str, Any] = json.loads(action.options)
    moments = {"instant": "tick", "since": "from", "until": "to"} if action.schedule else {}
    told = [(word, _moment(chosen[name])) for name, word in moments.items() if name in chosen]
    words = {"canary": "one ahead, then ten, then the rest", "force": "jobs that succeeded, too"}
    said = [(name, text) for name, text in words.items() if chosen.get(name)]
    said += [("rate", f"{chosen['rate']:g} jobs a second")] if chosen.get("rate") else []
    said += [("signal", chosen["signal"])] if chosen.get("signal") else []
    return told + said


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S %Z}"


class ChangeAdmin(ReadOnly):
    """What was done to single jobs; it outlives the jobs."""

    list_display = ("job_link", "before", "difference", "verb", "actor", "moment")
    list_display_links = None
    list_select_related = ("action",)
    ordering = ("-id",)

    @admin.display(description="Job")
    def job_link(self, change: Change) -> SafeString:
        address = reverse("admin:celeriac_job_change", args=[change.job_id])
        return format_html('<a href="{}"><code>{}</code></a>', address, change.job_id)

    @admin.display(description="Arguments changed")
    def difference(self, change: Change) -> str:
        return ", ".join(f"{name}: {before} → {after}" for name, before, after in differences(change.diff)) or "-"

    @admin.display(description="Action")
    def verb(self, change: Change) -> SafeString:
        address = reverse("admin:celeriac_action_change", args=[change.action_id])
        return format_html('<a href="{}">{}</a>', address, change.action.verb)

    @admin.display(description="By")
    def actor(self, change: Change) -> str:
        return change.action.actor

    @admin.display(description="Asked for")
    def moment(self, change: Change) -> str:
        return ago(change.action.created_at)
