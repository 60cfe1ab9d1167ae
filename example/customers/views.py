"""The home page and the sign-up page."""

from django.db import transaction
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from celeriac.models import Job
from customers.forms import SignUpForm
from customers.models import Customer
from customers.tasks import send_welcome

STATES = ("waiting", "scheduled", "ready", "running", "succeeded", "dead", "cancelled")


class CardDeclinedError(Exception):
    """The payment provider said no, late: after the customer was saved and the welcome job enqueued."""


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The newest customers, and how many jobs are in each state."""
    counts = dict(Job.objects.order_by().values_list("state").annotate(Count("pk")))
    return render(
        request,
        "customers/home.html",
        {
            "customers": Customer.objects.all()[:15],
            "jobs": [(state, counts.get(state, 0)) for state in STATES],
            "last_jobs": Job.objects.order_by("-created_at")[:15],
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    """Create the customer and enqueue the welcome in one transaction: both commit, or neither.

    302 when committed, 402 when the card was declined, 400 when the form is wrong. `X-Job-Id` tells the id the job
    got, also where the transaction took it back, so that a visitor can check that it is gone.
    """
    form = SignUpForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return render(request, "customers/sign_up.html", {"form": form}, status=400 if form.is_bound else 200)
    job_id = ""
    try:
        with transaction.atomic():
            customer = form.save()
            job_id = send_welcome.delay(customer.pk).id
            _charge(declined=form.cleaned_data["decline_card"])
        response: HttpResponse = redirect("home")
    except CardDeclinedError:
        form.add_error("decline_card", "Declined. Nothing was saved, nothing was enqueued, no mail will come.")
        response = render(request, "customers/sign_up.html", {"form": form}, status=402)
    response["X-Job-Id"] = job_id
    return response


def _charge(*, declined: bool) -> None:
    if declined:
        raise CardDeclinedError
