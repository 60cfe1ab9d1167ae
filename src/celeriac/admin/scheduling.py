"""What is done to one schedule: a page that says what would happen, then the deed, by `schedules.operate`."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from celeriac.admin.base import by, require_operate
from celeriac.admin.schedule_words import exact, following, words, zone
from celeriac.ledger.database import clock
from celeriac.ledger.rows import By
from celeriac.schedules import operate as hands
from celeriac.schedules.definition import aware
from celeriac.schedules.models import Schedule
from celeriac.schedules.zones import reached, shown

if TYPE_CHECKING:
    from celeriac.admin.base import ReadOnly

__all__ = ["operate"]


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(
        required=False,
        max_length=1000,
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
        help_text="Kept with your name, for whoever asks later.",
    )


class InstantForm(ReasonForm):
    """Which tick. It is said and not "the next", which may be another by the time that the form arrives."""

    instant = forms.CharField(max_length=40, widget=forms.HiddenInput)

    def clean_instant(self) -> datetime:
        return _instant(self.cleaned_data["instant"])


class BackfillForm(forms.Form):
    """From when to when, on the clock of the schedule's time zone."""

    required_css_class = "required"

    since = forms.CharField(label="From", max_length=40)
    until = forms.CharField(label="To", max_length=40, help_text="Both included. Ticks to come are left alone.")
    reason = ReasonForm.base_fields["reason"]

    def __init__(self, row: Schedule, data: Any = None, initial: Any = None) -> None:
        super().__init__(data, initial=initial, label_suffix="")
        self.zone = zone(row)
        clockwise = {"type": "datetime-local", "step": "1", "class": "celeriac-moment"}
        for name in ("since", "until"):
            self.fields[name].widget = forms.TextInput(attrs=clockwise)
        self.fields["since"].help_text = f"On the clock of {self.zone}."

    def clean_since(self) -> datetime:
        return self._moment("since", 0)

    def clean_until(self) -> datetime:
        return self._moment("until", -1)

    def _moment(self, name: str, which: int) -> datetime:
        """Return the instant; of a time that the clock shows twice what makes the range the longer one."""
        given = _datetime(self.cleaned_data[name])
        if given.tzinfo is not None:
            return given.astimezone(UTC)
        return (shown(given, self.zone) or [reached(given, self.zone)])[which]

    def clean(self) -> dict[str, Any]:
        said = self.cleaned_data
        if {"since", "until"} <= set(said) and said["since"] > said["until"]:
            raise ValidationError("It ends before it begins.")
        return said


def _datetime(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text.strip())
        found.astimezone(UTC)  # what is near the ends of time has no such instant
        found + timedelta(days=2), found - timedelta(days=2)
    except (ValueError, OverflowError) as error:
        raise ValidationError("Write it as 2026-06-01 14:00.") from error
    return found


def _instant(text: str) -> datetime:
    found = _datetime(text)
    if found.tzinfo is None:
        raise ValidationError("Which instant that is depends on a time zone.")
    return found.astimezone(UTC)


def operate(page: "ReadOnly", request: HttpRequest, id_: int, verb: str) -> HttpResponse:
    """Ask, or with `confirmed` do it. POST only; 403 without the permission."""
    require_operate(request)
    if verb not in hands.BY_HAND:
        raise Http404(f"There is no verb {verb}.")
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    row = page.get_object(request, str(id_))
    if row is None:
        raise Http404("There is no such schedule (any more).")
    data = {name: str(value).replace("\0", "") for name, value in request.POST.items()}
    try:
        if verb == "backfill":
            return _backfill(page, request, row, data)
        return _operate(page, request, row, verb, data)
    except hands.NoSchedule as error:
        raise Http404(str(error)) from error


def _operate(page: "ReadOnly", request: HttpRequest, row: Schedule, verb: str, data: dict[str, str]) -> HttpResponse:
    form = (InstantForm if verb in {"skip", "unskip"} else ReasonForm)(data, label_suffix="")
    if not form.is_valid() and "instant" in form.errors:
        return _back(request, row, messages.ERROR, "No tick is named, so nothing was done.")
    if "confirmed" not in data or not form.is_valid():
        return _asks(page, request, row, verb, form)
    said = form.cleaned_data
    try:
        level, text = _DEEDS[verb](row, by(request, said["reason"]), said.get("instant"))
    except ValueError as error:
        level, text = messages.ERROR, str(error)
    return _back(request, row, level, text)


def _asks(page: "ReadOnly", request: HttpRequest, row: Schedule, verb: str, form: forms.Form) -> HttpResponse:
    ahead = following(row, 1, clock()).ticks
    instant = form.cleaned_data.get("instant")
    context = {
        "schedule": row,
        "verb": verb,
        "crumb": verb.capitalize(),
        "form": form,
        "words": words(row),
        "next": exact(ahead[0].instant, zone(row)) if ahead else "",
        "instant": instant and exact(instant, zone(row)),
    }
    titles = {
        "run": "Run {} now?", "pause": "Pause {}?", "resume": "Resume {}?", "skip": "Skip a tick of {}?",
        "unskip": "Put a tick of {} back?",
    }  # fmt: skip
    return page.page(request, "schedule/confirm.html", titles[verb].format(row.name), context)


def _back(request: HttpRequest, row: Schedule, level: int, text: str) -> HttpResponse:
    messages.add_message(request, level, text)
    return HttpResponseRedirect(reverse("admin:celeriac_schedule_change", args=[row.pk]))


# -- the deeds: each returns how well it went, and what was done in words


def _run(row: Schedule, who: By, _: datetime | None) -> tuple[int, str]:
    tick = hands.run(row.name, who)
    if tick.job is None:
        return messages.SUCCESS, "A job was asked for. Its task leaves it to the broker, so there is no row of it."
    address = reverse("admin:celeriac_job_change", args=[tick.job])
    return messages.SUCCESS, format_html('A job was asked for: <a href="{}">{}</a>.', address, tick.job)


def _pause(row: Schedule, who: By, _: datetime | None) -> tuple[int, str]:
    if hands.pause(row.name, who):
        return messages.SUCCESS, "Paused. It fires nothing until it is resumed."
    return messages.WARNING, "It was paused already."


def _resume(row: Schedule, who: By, _: datetime | None) -> tuple[int, str]:
    if not hands.resume(row.name, who):
        return messages.WARNING, "It was not paused."
    return messages.SUCCESS, "Resumed. What it missed meanwhile is in its history, and can be had by a backfill."


def _skip(row: Schedule, who: By, instant: datetime | None) -> tuple[int, SafeString]:
    chosen = hands.skip(row.name, who, instant=instant)
    return messages.SUCCESS, format_html("The tick of {} will be no job.", exact(chosen, zone(row)))


def _unskip(row: Schedule, who: By, instant: datetime | None) -> tuple[int, SafeString]:
    assert instant is not None
    shown = exact(instant, zone(row))
    if hands.unskip(row.name, who, instant):
        return messages.SUCCESS, format_html("The tick of {} will be a job again.", shown)
    return messages.WARNING, format_html("The tick of {} was not taken out, or its time has passed.", shown)


_DEEDS: dict[str, Callable[[Schedule, By, datetime | None], tuple[int, str]]] = {
    "run": _run, "pause": _pause, "resume": _resume, "skip": _skip, "unskip": _unskip,
}  # fmt: skip


# -- backfill


def _backfill(page: "ReadOnly", request: HttpRequest, row: Schedule, data: dict[str, str]) -> HttpResponse:
    """Ask from when to when; then say how many ticks those are; then do it."""
    if "since" not in data or "again" in data:
        return _backfill_page(page, request, row, BackfillForm(row, initial=_initial(row, data)))
    form = BackfillForm(row, data)
    if not form.is_valid():
        return _backfill_page(page, request, row, form)
    since, until = form.cleaned_data["since"], form.cleaned_data["until"]
    try:
        if "confirmed" not in data:
            return _backfill_page(page, request, row, form, hands.to_backfill(row.name, since, until))
        done = hands.backfill(row.name, since, until, by(request, form.cleaned_data["reason"]))
    except ValueError as error:
        form.add_error(None, str(error))
        return _backfill_page(page, request, row, form)
    there = f" {done.there:,} had one already." if done.there else ""
    count = len(done.ticks)
    text = f"{count:,} job{'s were' if count != 1 else ' was'} asked for.{there}"
    return _back(request, row, messages.SUCCESS if count else messages.WARNING, text)


def _initial(row: Schedule, data: dict[str, str]) -> dict[str, str]:
    now = aware(clock()).astimezone(zone(row)).replace(second=0, microsecond=0, tzinfo=None)
    day = {"since": (now - timedelta(days=1)).isoformat(), "until": now.isoformat()}
    return {**day, **{name: data[name] for name in ("since", "until", "reason") if name in data}}


def _backfill_page(
    page: "ReadOnly", request: HttpRequest, row: Schedule, form: BackfillForm, found: hands.Wanted | None = None
) -> HttpResponse:
    ticks = found.instants if found else []
    context = {
        "schedule": row,
        "crumb": "Backfill",
        "form": form,
        "words": words(row),
        "found": found,
        "since": found and exact(form.cleaned_data["since"], form.zone),
        "until": found and exact(form.cleaned_data["until"], form.zone),
        "shown": [exact(one, form.zone) for one in ticks[:5]],
        "last": exact(ticks[-1], form.zone) if len(ticks) > 5 else "",
    }
    return page.page(request, "schedule/backfill.html", f"Backfill {row.name}", context)
