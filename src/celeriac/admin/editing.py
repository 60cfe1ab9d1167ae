"""Replaying one job with other arguments: written as JSON, checked against the task, shown as a difference first."""

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from celery import current_app
from django import forms
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed

from celeriac.admin.base import by, require_operate
from celeriac.admin.job_page import differences
from celeriac.admin.operating import done
from celeriac.api import operate as operators
from celeriac.api.edit import edited
from celeriac.api.payload import decode
from celeriac.errors import PayloadError, WrongArguments
from celeriac.ledger.models import Job
from celeriac.ledger.queries import find
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import ENDED, State
from celeriac.templatetags.celeriac_show import pretty

if TYPE_CHECKING:
    from celeriac.admin.base import ReadOnly

__all__ = ["edit"]

_AREA = {"rows": 8, "cols": 80, "class": "vLargeTextField celeriac-json", "spellcheck": "false"}


class EditForm(forms.Form):
    """A call's arguments as JSON text, and why they are changed."""

    required_css_class = "required"

    args = forms.CharField(label="Positional arguments", required=False, widget=forms.Textarea(attrs=_AREA))
    kwargs = forms.CharField(label="Keyword arguments", required=False, widget=forms.Textarea(attrs=_AREA))
    reason = forms.CharField(
        required=False,
        max_length=1000,
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
        help_text="Kept with your name, for whoever asks later.",
    )

    def __init__(self, job: Job, data: Any = None) -> None:
        super().__init__(data, initial={"args": pretty(job.args), "kwargs": pretty(job.kwargs)}, label_suffix="")
        self.job = job
        self.difference: dict[str, list[Any]] = {}

    def clean_args(self) -> Any:
        return self._value("args", list, "a list, such as [7, true]")

    def clean_kwargs(self) -> Any:
        return self._value("kwargs", dict, 'an object, such as {"amount": 7}')

    def _value(self, name: str, kind: type, example: str) -> Any:
        """Return what was written, or None where it means what the job has already."""
        text = self.cleaned_data[name].strip() or ("[]" if kind is list else "{}")
        try:
            if _same(text, getattr(self.job, name)):
                return None
            raw = json.loads(text)
            value = decode(text)
        except json.JSONDecodeError as error:
            raise forms.ValidationError(f"This is not JSON: {error}.") from None
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
            raise forms.ValidationError(f"This cannot be read: {type(error).__name__}: {error}.") from None
        if type(raw) is not kind or not isinstance(value, kind):
            raise forms.ValidationError(f"This has to be {example}.")
        return value

    def clean(self) -> dict[str, Any]:
        said = self.cleaned_data
        if self.errors:
            return said
        try:
            _, _, self.difference = edited(current_app, self.job, said["args"], said["kwargs"])
        except (WrongArguments, PayloadError) as error:
            self.add_error("args" if said["args"] is not None or said["kwargs"] is None else "kwargs", str(error))
        return said


def _same(text: str, before: str) -> bool:
    return json.dumps(json.loads(text)) == json.dumps(json.loads(before))


def edit(page: "ReadOnly", request: HttpRequest, id_: UUID) -> HttpResponse:
    """Show the form; once it is right, the difference; with `confirmed`, replay."""
    require_operate(request)
    if request.method not in {"GET", "HEAD", "POST"}:
        return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
    job = find(id_)
    if job is None:
        raise Http404("There is no such job.")
    if job.state not in ENDED:
        why = f"The job is {job.state}: it has not ended, so it cannot be replayed."
        return page.page(request, "job/refused.html", "Not now", {"why": why, "job": job}, status=409)
    # What a web process knows of tasks is what it has imported; the check is worth the import.
    current_app.loader.import_default_modules()
    form = EditForm(job, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and "confirmed" in request.POST and "again" not in request.POST:
        said = form.cleaned_data
        action = operators.replay(
            Selection.of(job.id),
            by(request, said["reason"]),
            force=job.state == State.SUCCEEDED,
            args=said["args"],
            kwargs=said["kwargs"],
            app=current_app,
        )
        return done(request, action, Selection.of(job.id))
    context = {
        "form": form,
        "job": job,
        "checked": request.method == "POST" and form.is_valid() and "again" not in request.POST,
        "difference": differences(json.dumps(form.difference)) if form.is_bound and form.is_valid() else [],
        "known": job.task in current_app.tasks,
    }
    return page.page(request, "job/edit.html", "Replay with other arguments", context)
