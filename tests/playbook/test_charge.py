"""The playbook's payment: charged once, whatever dies, hangs, fails or asks twice, and whatever an operator does."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager

import pytest
from django.db import transaction

from celeriac.api import operate
from celeriac.api.operate import By, Selection
from celeriac.ledger.models import Effect, Job
from tests.integration.looking import attempts, ended, job, settings_env, state
from tests.playbook.stripe_server import Fault
from tests.shop.celery import app
from tests.shop.models import Invoice
from tests.shop.playbook import charge_customer
from tests.shop.tasks import pid
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker", "stripe")]

ADA = By("ada", "the customer has called", "code")
DECLINED = "pm_card_visa_chargeDeclined"


@pytest.fixture(scope="module")
def worker_slots():
    return 1


@pytest.fixture(scope="module")
def worker_env(stripe_server):
    return settings_env(CELERY_IMPORTS=["tests.shop.playbook"]) | {"STRIPE": stripe_server.url}


@pytest.fixture
def stripe(stripe_server):
    """Stripe, as if nobody had ever asked it anything."""
    stripe_server.forget()
    return stripe_server


@pytest.fixture
def invoice():
    return Invoice.objects.create(amount=700)


def paid(invoice):
    invoice.refresh_from_db()
    return invoice.payment


@contextmanager
def killed_when_charged(server):
    """Kill the process that charges, after Stripe has charged and before it hears of it."""
    body = pid.delay().get(timeout=10)

    def kill():
        server.on_charged = lambda: None
        os.kill(body, signal.SIGKILL)

    server.on_charged = kill
    yield
    server.on_charged = lambda: None


def test_killed_between_the_charge_and_the_record_it_asks_and_records(stripe, invoice):
    with killed_when_charged(stripe):
        result = charge_customer.delay(invoice.pk, 700)
        assert result.get(timeout=20) == "pi_1"
    assert len(stripe.charges) == 1
    assert paid(invoice) == "pi_1"
    key = f"{charge_customer.name}:inv-{invoice.pk}/charge"
    assert stripe.asked == [("POST", key), ("GET", "")]
    assert [attempt.kind for attempt in attempts(result)] == ["lost"]
    assert list(Effect.objects.values_list("name", "done", "result")) == [("charge", True, '"pi_1"')]


@pytest.mark.parametrize("fault", [Fault.CHARGE_AND_FAIL, Fault.CHARGE_AND_HANG, Fault.CHARGE_AND_HANG_UP])
def test_retried_after_no_answer_or_a_bad_one_it_is_charged_once(stripe, invoice, fault):
    stripe.faults.append(fault)
    result = charge_customer.delay(invoice.pk, 700)
    assert result.get(timeout=20) == "pi_1"
    assert (len(stripe.charges), paid(invoice), job(result).attempt) == (1, "pi_1", 1)
    assert [attempt.kind for attempt in attempts(result)] == ["retry"]


def test_turned_away_before_anything_happened_it_just_asks_again(stripe, invoice):
    """With the Retry-After of one second that the server asks for."""
    stripe.faults.append(Fault.RATE_LIMIT)
    result = charge_customer.delay(invoice.pk, 700)
    assert result.get(timeout=20) == "pi_1"
    assert [method for method, _ in stripe.asked] == ["POST", "POST"]
    [story] = attempts(result)
    assert (job(result).started_at - story.finished_at).total_seconds() >= 0.99


def test_a_500_that_charged_nobody_is_saved_by_stripe_and_ends_as_a_dead_letter(stripe, invoice):
    """Stripe gives the same answer to the same key, for a day at least: no retry gets past it."""
    stripe.faults.append(Fault.FAIL)
    result = charge_customer.delay(invoice.pk, 700)
    assert state(result) == ("dead", "exhausted")
    assert (stripe.charges, paid(invoice)) == ([], "")
    assert [method for method, _ in stripe.asked] == ["POST", *["GET", "POST"] * 3]


def test_asked_again_while_the_first_request_is_still_at_it(stripe, invoice):
    """The process dies while Stripe has not charged yet; Stripe refuses the second request until it has."""
    body = pid.delay().get(timeout=10)
    stripe.open.clear()
    result = charge_customer.delay(invoice.pk, 700)
    wait_until(lambda: stripe.asked)
    os.kill(body, signal.SIGKILL)
    wait_until(lambda: len(attempts(result)) == 2)
    stripe.open.set()
    assert result.get(timeout=20) == "pi_1"
    assert len(stripe.charges) == 1
    assert "another in-progress request" in attempts(result)[1].message


def test_an_operator_who_replays_with_another_amount_is_refused_by_stripe(stripe, invoice):
    result = charge_customer.delay(invoice.pk, 700, card=DECLINED)
    assert state(result) == ("dead", "failed")
    assert job(result).exception.endswith("CardError")
    operate.replay(Selection.of(result.id), ADA, args=[invoice.pk, 500], kwargs={}, app=app)
    wait_until(lambda: len(attempts(result)) == 2)
    assert state(result) == ("dead", "failed")
    story = attempts(result)[-1]
    assert story.exception.endswith("IdempotencyError")
    assert "same parameters they were first used with" in story.message
    assert (stripe.charges, paid(invoice)) == ([], "")


def test_a_replay_of_what_was_charged_charges_nobody(stripe, invoice):
    result = charge_customer.delay(invoice.pk, 700)
    ended(result)
    operate.replay(Selection(ids=(job(result).id,)), ADA, force=True)
    wait_until(lambda: job(result).state == "succeeded")
    assert result.get(timeout=10) == "pi_1"
    assert len(stripe.charges) == 1


def test_a_replay_though_the_invoice_forgot_it_has_the_record(stripe, invoice):
    result = charge_customer.delay(invoice.pk, 700)
    ended(result)
    Invoice.objects.update(payment="")
    operate.replay(Selection(ids=(job(result).id,)), ADA, force=True)
    wait_until(lambda: paid(invoice) == "pi_1")
    assert [method for method, _ in stripe.asked] == ["POST"]


def test_two_calls_for_an_invoice_are_one_job_and_one_charge(stripe, invoice):
    with transaction.atomic():
        first, second = charge_customer.delay(invoice.pk, 700), charge_customer.delay(invoice.pk, 700)
    assert first.id == second.id
    assert first.get(timeout=20) == "pi_1"
    assert Job.objects.filter(task=charge_customer.name).count() == 1
    again = charge_customer.delay(invoice.pk, 700)
    assert again.id != first.id  # the key was free; the invoice is paid
    assert again.get(timeout=20) == "pi_1"
    assert len(stripe.charges) == 1
