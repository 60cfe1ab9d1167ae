"""The dead by what they seem to be dead of: one row a cause, and what can be done to all of them at once."""

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import reverse

from celeriac.ledger import dead
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import State

if TYPE_CHECKING:
    from celeriac.admin.base import ReadOnly

__all__ = ["groups"]

MOST = 50


def groups(page: "ReadOnly", request: HttpRequest) -> HttpResponse:
    """Show the groups of the dead, the latest death first."""
    page.require_view(request)
    if request.method not in {"GET", "HEAD"}:
        return HttpResponseNotAllowed(["GET", "HEAD"])
    found = dead.groups(limit=MOST + 1)
    jobs = reverse("admin:celeriac_job_changelist")
    told = [(group, f"{jobs}?{urlencode({'fingerprint': group.fingerprint})}", _all_of(group)) for group in found]
    context = {"groups": told[:MOST], "more": len(found) > MOST, "most": MOST}
    return page.page(request, "job/groups.html", "Dead by cause", context)


def _all_of(group: dead.Group) -> str:
    """Return the selection of a whole group as JSON; none where deaths of any cause have no fingerprint."""
    if not group.fingerprint:
        return ""
    return Selection(states=(State.DEAD,), fingerprint=group.fingerprint).as_json()
