"""Replay, discard and cancel: a page that says what would happen, then the deed, as an action with a name under it."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from celery import current_app
from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html

from celeriac.admin.base import by, require_operate
from celeriac.api import operate as operators
from celeriac.ledger import dead
from celeriac.ledger.audit import Action
from celeriac.ledger.dead import CAP
from celeriac.ledger.operators import VERBS
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import State

if TYPE_CHECKING:
    from celeriac.admin.base import ReadOnly

__all__ = ["asked", "done", "operate", "takes"]

SAMPLE = 1000


class OperateForm(forms.Form):
    """What an operator may say besides which jobs; the fields that the verb has."""

    required_css_class = "required"

    selection = forms.CharField(widget=forms.HiddenInput)
    reason = forms.CharField(
        required=False,
        max_length=1000,
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
        help_text="Kept with your name, for whoever asks later.",
    )
    canary = forms.BooleanField(
        required=False,
        label="Canary",
        help_text="Send one ahead, then ten, then the rest; stop when one of those fails again.",
    )
    rate = forms.FloatField(
        required=False,
        min_value=0.001,
        label="Jobs a second",
        help_text="Leave empty to send all at once.",
    )
    force = forms.BooleanField(
        required=False,
        label="Also those that succeeded",
        help_text="They have their effects a second time.",
    )
    terminate = forms.BooleanField(
        required=False,
        label="End what runs",
        help_text="By SIGTERM to its process. Without it a running body is asked, and may go on to its end.",
    )

    def __init__(self, verb: str, *args: Any, forcible: bool = False, single: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        keeps = {"replay": {"canary", "rate", "force"}, "discard": set(), "cancel": {"terminate"}}[verb]
        keeps -= {"canary", "rate"} if single else set()
        keeps -= set() if forcible else {"force"}
        for name in {"canary", "rate", "force", "terminate"} - keeps:
            del self.fields[name]
        self.fields["reason"].required = verb == "discard"


def takes(verb: str, states: tuple[str, ...]) -> bool:
    """Whether *verb* is for jobs of *states*; of all where there are none."""
    known = VERBS[verb]
    more = {State.SUCCEEDED.value} if verb == "replay" else set()
    return not states or {*known.states, *known.others, *more}.issuperset(states)


def asked(page: "ReadOnly", request: HttpRequest, verb: str, selection: Selection) -> HttpResponse:
    """Return the page that says which jobs are meant, and asks whether they are."""
    return _page(page, request, verb, selection, None)


def operate(page: "ReadOnly", request: HttpRequest, verb: str) -> HttpResponse:
    """Ask, or with `confirmed` do it. POST only; 403 without the permission, 400 where no jobs are named."""
    require_operate(request)
    if verb not in VERBS:
        raise Http404(f"There is no verb {verb}.")
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        selection = _named(request.POST.get("selection", ""))
    except (ValueError, TypeError, AttributeError):
        return page.page(request, "job/refused.html", "Which jobs?", {"why": "No jobs are named."}, status=400)
    if "confirmed" not in request.POST:
        return asked(page, request, verb, selection)
    form = _form(verb, selection, request.POST)
    if not form.is_valid():
        return _page(page, request, verb, selection, form)
    said = form.cleaned_data
    who = by(request, said.pop("reason"))
    said.pop("selection")
    try:
        action = _VERBS[verb](selection, who, **said)
    except ValueError as error:
        form.add_error(None, str(error))
        return _page(page, request, verb, selection, form)
    return done(request, action, selection)


def _named(text: str) -> Selection:
    selection = Selection.from_json(text)
    if any("\0" in str(value) for value in selection.filters.values()):
        raise ValueError("No database has text with a zero in it.")
    return selection


def _replay(selection: Selection, who: operators.By, **said: Any) -> Action:
    return operators.replay(selection, who, app=current_app, **said)


_VERBS: dict[str, Any] = {"replay": _replay, "discard": operators.discard, "cancel": operators.cancel}


def done(request: HttpRequest, action: Action, selection: Selection) -> HttpResponse:
    """Say what *action* did so far, and go to where its rest can be seen."""
    address = reverse("admin:celeriac_action_change", args=[action.pk])
    past = {"replay": "Replayed", "discard": "Discarded", "cancel": "Cancelled"}[action.verb]
    if action.state == "open":
        text = (
            "{} {:,} of {:,} jobs so far. The action is open: a worker goes on with it, as soon as there is one. "
            "This page shows how far it is."
        )
        messages.info(request, text.format(past, action.changed, action.matched))
        return HttpResponseRedirect(address)
    level = messages.SUCCESS if action.changed else messages.WARNING
    jobs = "job" if action.matched == 1 else "jobs"
    note = f" {action.note}." if action.note else ""
    text = f"{past} {action.changed:,} of {action.matched:,} {jobs}.{note}"
    messages.add_message(request, level, format_html('{} <a href="{}">What was done</a>', text, address))
    if len(selection.ids) == 1:
        return HttpResponseRedirect(reverse("admin:celeriac_job_change", args=selection.ids))
    return HttpResponseRedirect(reverse("admin:celeriac_job_changelist"))


def _form(verb: str, selection: Selection, data: Any = None) -> OperateForm:
    states = {State(state) for state in selection.states}
    forcible = State.SUCCEEDED in states or bool(
        selection.ids and selection.rows().filter(state=State.SUCCEEDED).exists()
    )
    initial = {"selection": selection.as_json()}
    single = len(selection.ids) == 1
    return OperateForm(verb, data, forcible=forcible, single=single, initial=initial, label_suffix="")


def _page(
    page: "ReadOnly", request: HttpRequest, verb: str, selection: Selection, form: OperateForm | None
) -> HttpResponse:
    form = form or _form(verb, selection)
    try:
        meant = VERBS[verb].check(selection, {"force": "force" in form.fields})
    except ValueError as error:
        return page.page(request, "job/refused.html", f"Not {verb}", {"why": str(error)}, status=400)
    count, found = _seen(meant)
    capped = count >= CAP
    context = {
        "verb": verb,
        "form": form,
        "meant": meant,
        "count": count,
        "capped": capped,
        "sample": SAMPLE,
        "counts": Counter(found).most_common(30),
        "left_out": _left_out(verb, meant, found),
        "job": meant.rows().defer("result", "error").first() if len(meant.ids) == 1 else None,
        "address": reverse("admin:celeriac_job_operate", args=[verb]),
    }
    number = f"{CAP:,}+" if capped else f"{count:,}"
    title = f"{verb.capitalize()} {number} job{'s' * (count != 1)}?"
    return page.page(request, "job/confirm.html", title, context)


def _seen(meant: Selection) -> tuple[int, list[tuple[str, str]]]:
    """Return how many there are, up to the cap, and (state, task) of each; of a sample where the cap is reached.

    A sample, since each is a row to fetch where counting needs an index alone; first, since what no index leads to
    shall be looked for once.
    """
    kinds = meant.rows().values_list("state", "task")
    found = list(kinds[: SAMPLE + 1])
    if len(found) <= SAMPLE:
        return len(found), found
    count = dead.count(meant)
    return count, found[:SAMPLE] if count >= CAP else list(kinds[:CAP])


def _left_out(verb: str, meant: Selection, found: list[tuple[str, str]]) -> int:
    """Return how many of the ids are in a state that *verb* leaves alone."""
    takes_ = {*VERBS[verb].states, *VERBS[verb].others}
    return sum(state not in takes_ for state, _ in found) if meant.ids else 0
