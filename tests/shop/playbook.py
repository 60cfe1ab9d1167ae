"""The playbook's three tasks, as a project writes them; for workers that import this."""

from __future__ import annotations

import os

import requests
import stripe
from celery import shared_task
from django.core.mail import send_mail
from django.db import transaction
from django.utils import timezone

from celeriac import InDoubt, Task
from tests.shop.models import Customer, Invoice
from tests.shop.tasks import note

# -- a mail


@shared_task(
    bind=True,
    autoretry_for=(ConnectionError, TimeoutError),
    retry_kwargs={"max_retries": 5},
    retry_backoff=True,
    retry_jitter=True,
)
def send_welcome(self, customer_id):
    with transaction.atomic():
        customer = Customer.objects.select_for_update().get(pk=customer_id)
        if customer.welcomed_at:
            return "welcomed before"
        send_mail("Welcome", f"Dear {customer.name}", "shop@example.com", [customer.email])
        customer.welcomed_at = timezone.now()
        customer.save(update_fields=["welcomed_at"])
    return f"welcomed at attempt {self.request.retries + 1}"


# -- a payment


def intents():
    """Stripe's own client; whether to try again is the job's to say, so it does not."""
    client = stripe.StripeClient(
        "sk_test_of_the_playbook",
        base_addresses={"api": os.environ["STRIPE"]},
        http_client=stripe.RequestsClient(timeout=0.5),
        max_network_retries=0,
    )
    return client.v1.payment_intents


#: After these nobody knows whether somebody was charged: no answer, or Stripe's own failure.
UNCLEAR = (stripe.APIConnectionError, stripe.APIError)


@shared_task(
    bind=True,
    idempotency_key="inv-{invoice_id}",
    autoretry_for=(*UNCLEAR, stripe.RateLimitError),
    retry_backoff=0.05,
    max_retries=3,
)
def charge_customer(self, invoice_id, amount, card="pm_card_visa"):
    customer = f"cus_{invoice_id}"

    def charge():
        key = self.idempotency_key
        params = {"amount": amount, "currency": "eur", "customer": customer, "payment_method": card, "confirm": True}
        return intents().create({**params, "metadata": {"key": key}}, {"idempotency_key": key}).id

    with transaction.atomic():
        invoice = Invoice.objects.select_for_update().get(pk=invoice_id)
        if invoice.payment:
            return invoice.payment
        try:
            invoice.payment = self.once("charge", charge, doubtful=UNCLEAR)
        except InDoubt as doubt:
            found = [
                intent.id for intent in intents().list({"customer": customer}) if intent.metadata["key"] == doubt.key
            ]
            invoice.payment = doubt.record(found[0]) if found else doubt.repeat()
        invoice.save(update_fields=["payment"])
    return invoice.payment


# -- a webhook


class TryLaterError(requests.HTTPError):
    """The other side's trouble (429, 5xx), and not our request's."""


class Gone(requests.HTTPError):
    """410: the subscriber wants no more of it."""


class Webhook(Task):
    """What all deliveries have in common, their own notice of death included."""

    abstract = True
    autoretry_for = (requests.ConnectionError, requests.Timeout, TryLaterError)
    discard_on = (Gone,)
    retry_jitter = True

    def on_dead(self, job):
        if path := os.environ.get("WEBHOOK_DEATHS"):
            note(path, str(job.id))


def post(self, url, event, payload):
    response = requests.post(
        url, json={"event": event, **payload}, headers={"Idempotency-Key": self.idempotency_key}, timeout=10
    )
    if response.status_code == 429 or response.status_code >= 500:
        raise TryLaterError(f"{response.status_code} {response.reason}", response=response)
    if response.status_code == 410:
        raise Gone(f"{url} is gone", response=response)
    response.raise_for_status()
    return response.status_code


webhook_send = shared_task(
    name="playbook.webhook_send", base=Webhook, bind=True, retry_backoff=True, retry_backoff_max=5, max_retries=10
)(post)

#: The same for the impatient.
webhook_send_soon = shared_task(
    name="playbook.webhook_send_soon",
    base=Webhook,
    bind=True,
    retry_backoff=0.05,
    retry_backoff_max=0.15,
    max_retries=3,
)(post)
