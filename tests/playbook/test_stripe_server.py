"""The stand-in keeps the rules that docs.stripe.com gives, seen through Stripe's own client."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import stripe

from tests.playbook.stripe_server import Fault, StripeServer
from tests.waiting import wait_until


@pytest.fixture
def server():
    server = StripeServer()
    yield server
    server.close()


@pytest.fixture
def intents(server):
    with requests.Session() as session:
        http = stripe.RequestsClient(session=session, timeout=0.5)
        client = stripe.StripeClient(
            "sk_test_x", http_client=http, base_addresses={"api": server.url}, max_network_retries=0
        )
        yield client.v1.payment_intents


def create(intents, key="k", amount=700, **params):
    return intents.create({"amount": amount, "currency": "eur", **params}, {"idempotency_key": key})


def replayed(answer):
    return answer.last_response.headers.get("Idempotent-Replayed")


def test_the_first_answer_is_given_again(server, intents):
    first, again, other = create(intents), create(intents), create(intents, "other")
    assert (first.id, again.id, other.id) == ("pi_1", "pi_1", "pi_2")
    assert (replayed(first), replayed(again)) == (None, "true")
    assert len(server.charges) == 2


def test_other_parameters_are_refused(server, intents):
    create(intents)
    with pytest.raises(stripe.IdempotencyError, match="same parameters they were first used with") as refused:
        create(intents, amount=800)
    assert refused.value.http_status == 400
    assert len(server.charges) == 1


@pytest.mark.parametrize(("fault", "charged"), [(Fault.FAIL, 0), (Fault.CHARGE_AND_FAIL, 1)])
def test_a_500_is_saved_too_whatever_it_did(server, intents, fault, charged):
    server.faults.append(fault)
    for _ in range(2):
        with pytest.raises(stripe.APIError, match="on our side") as failed:
            create(intents)
        assert failed.value.http_status == 500
    assert len(server.charges) == charged
    assert failed.value.headers["Idempotent-Replayed"] == "true"


def test_a_declined_card_is_saved_too(server, intents):
    for _ in range(2):
        with pytest.raises(stripe.CardError, match="declined"):
            create(intents, payment_method="pm_card_visa_chargeDeclined")
    assert server.charges == []


def test_what_did_not_begin_is_not_saved(server, intents):
    server.faults.append(Fault.RATE_LIMIT)
    with pytest.raises(stripe.RateLimitError):
        create(intents)
    with pytest.raises(stripe.InvalidRequestError, match="positive integer"):
        create(intents, amount=0)
    assert replayed(create(intents)) is None


def test_while_the_first_is_executed_a_second_is_refused(server, intents):
    server.open.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(requests.post, f"{server.url}/v1/payment_intents", **_by_hand(), timeout=10)
        wait_until(lambda: "k" in server._saved)
        second = requests.post(f"{server.url}/v1/payment_intents", **_by_hand(), timeout=10)
        server.open.set()
        assert first.result(10).json()["id"] == "pi_1"
    assert (second.status_code, second.json()["error"]["code"]) == (409, "idempotency_key_in_use")
    third = requests.post(f"{server.url}/v1/payment_intents", **_by_hand(), timeout=10)
    assert third.headers["Idempotent-Replayed"] == "true"


def _by_hand():
    headers = {"Authorization": "Bearer sk_test_x", "Idempotency-Key": "k"}
    return {"headers": headers, "data": {"amount": 700, "currency": "eur"}}


@pytest.mark.parametrize("fault", [Fault.CHARGE_AND_HANG, Fault.CHARGE_AND_HANG_UP])
def test_an_answer_may_not_come(server, intents, fault):
    server.faults.append(fault)
    told = threading.Event()
    server.on_charged = told.set
    with pytest.raises(stripe.APIConnectionError):
        create(intents)
    assert told.is_set()
    assert (create(intents).id, len(server.charges)) == ("pi_1", 1)


def test_a_key_has_255_characters_at_most(server, intents):
    create(intents, "k" * 255)
    with pytest.raises(stripe.InvalidRequestError, match="255"):
        create(intents, "k" * 256)


def test_without_an_api_key_nothing_is_answered(server):
    assert requests.get(f"{server.url}/v1/payment_intents", timeout=10).status_code == 401


def test_charges_can_be_listed_by_their_customer(server, intents):
    create(intents, customer="cus_7", metadata={"key": "k"})
    create(intents, "other", customer="cus_8")
    [found] = intents.list({"customer": "cus_7"}).data
    assert (found.id, found.metadata["key"]) == ("pi_1", "k")
