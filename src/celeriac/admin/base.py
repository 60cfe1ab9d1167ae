"""What every page of the admin here has in common: who may, which database, and counts that stop at a cap."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse

from celeriac.ledger.database import alias_of
from celeriac.ledger.dead import CAP
from celeriac.ledger.rows import By

__all__ = ["OPERATE", "CappedPaginator", "ReadOnly", "WithPages", "by", "cap_of", "may_operate", "require_operate"]

VIEW, OPERATE = "celeriac.view_job", "celeriac.operate_job"

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _Paginator = Paginator[Any]
else:
    _ModelAdmin = admin.ModelAdmin
    _Paginator = Paginator


def may_operate(request: HttpRequest) -> bool:
    """Whether whoever asks may replay, discard, cancel and stop."""
    return request.user.is_active and request.user.has_perm(OPERATE)


def require_operate(request: HttpRequest) -> None:
    """Raise PermissionDenied (403) unless whoever asks may operate."""
    if not may_operate(request):
        raise PermissionDenied


def by(request: HttpRequest, reason: str = "") -> By:
    """Return who operates, for the account of what was done."""
    origin = f"admin {request.META.get('REMOTE_ADDR', '')}".strip()
    return By(request.user.get_username()[:150], reason, origin[:100])


def cap_of(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return no more of *rows* than are counted."""
    return rows.order_by()[:CAP]


class CappedPaginator(_Paginator):
    """Counts no further than the cap: the exact number of a million rows takes longer than the page itself.

    Rows that no index leads to are looked for once: if the first page is all there is, it need not be counted.
    """

    @cached_property
    def first(self) -> list[Any]:
        """The rows of the first page, and one more where there are more."""
        return list(self.object_list[: self.per_page + 1])

    @cached_property
    def count(self) -> int:
        if len(self.first) <= self.per_page:
            return len(self.first)
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return cap_of(rows.values("pk")).count()


class ReadOnly(_ModelAdmin):
    """A table that is looked at by whoever may view jobs, and changed by nobody: rows change through verbs only."""

    actions: Any = None
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()  # by the one order that an index has
    list_per_page = 50
    list_max_show_all = 0
    cap = CAP

    class Media:
        css = {"all": ["celeriac/admin.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).using(alias_of())

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.has_perm(VIEW)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return may_operate(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        title = str(self.opts.verbose_name_plural).capitalize()
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def require_view(self, request: HttpRequest) -> None:
        """Raise PermissionDenied (403) unless whoever asks may look."""
        if not self.has_view_permission(request):
            raise PermissionDenied

    def page(
        self, request: HttpRequest, template: str, title: str, context: dict[str, Any], status: int = 200
    ) -> HttpResponse:
        """Return a page of ours within the admin's frame."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "media": self.media,
            "may_operate": may_operate(request),
            "cap": CAP,
            **context,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, f"admin/celeriac/{template}", context, status=status)


class WithPages(ReadOnly):
    """A table whose rows have pages of our own in the place of Django's forms."""

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one row, to whoever may look; it has no form, since nobody changes a row by hand."""
        self.require_view(request)
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return self.show(request, object_id)

    def show(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return the page of one row."""
        raise NotImplementedError
