"""Tasks about customers, and about a partner: ordinary Celery tasks that may safely run again."""

import json
from smtplib import SMTPConnectError, SMTPRecipientsRefused, SMTPServerDisconnected
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from celery import shared_task
from celery.utils.log import get_task_logger
from django.core.mail import send_mail
from django.utils import timezone

from customers.models import Customer

logger = get_task_logger(__name__)


class MailboxBusyError(ConnectionError):
    """The mail server asked us to come back later (a 4xx answer)."""


@shared_task(
    bind=True,
    autoretry_for=(ConnectionError, TimeoutError, SMTPServerDisconnected, SMTPConnectError),
    retry_backoff=True,
    max_retries=5,
)
def send_welcome(self: Any, customer_id: int) -> str:
    """Mail the customer `customer_id` a welcome, once."""
    customer = Customer.objects.get(pk=customer_id)
    if customer.welcomed_at:
        return f"{customer.email} was welcomed before"
    # No transaction around the mail: SQLite has one write lock, and a slow mail server would hold it.
    _mail_welcome(customer)
    customer.welcomed_at = timezone.now()
    customer.save(update_fields=["welcomed_at"])
    logger.info("welcomed %s, retries: %s", customer.email, self.request.retries)
    return f"welcomed {customer.email}"


def _mail_welcome(customer: Customer) -> None:
    try:
        send_mail(
            subject=f"Welcome, {customer.name}",
            message=f"Dear {customer.name},\n\nthank you for signing up.\n\nThe example shop\n",
            from_email=None,
            recipient_list=[customer.email],
        )
    except SMTPRecipientsRefused as refused:
        # smtplib has one exception for "come back later" (4xx) and "no such mailbox" (5xx); only the first is
        # worth a retry, and autoretry_for can tell them apart by class alone.
        if all(400 <= code < 500 for code, _ in refused.recipients.values()):
            raise MailboxBusyError(f"{customer.email}: come back later") from refused
        raise


class PartnerRefusesError(Exception):
    """Our partner does not like what we send: no time will mend that."""


@shared_task(bind=True, autoretry_for=(OSError,), retry_backoff=True, max_retries=3)
def tell_partner(self: Any, url: str, event: str) -> int:
    """Post the event to a partner: tried again after 1, 2 and 4 s, jittered; then dead until somebody replays it."""
    # The partner can tell by the key what it took already: it is the same in each attempt and replay.
    headers = {"Content-Type": "application/json", "Idempotency-Key": self.idempotency_key}
    request = Request(url, json.dumps({"event": event}).encode(), headers)
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=5) as answer:
            return int(answer.status)
    except HTTPError as error:
        error.close()
        if error.code == 429 or error.code >= 500:
            raise  # an OSError: tried again, and not before its Retry-After
        raise PartnerRefusesError(f"{error.code} {error.reason}") from error
