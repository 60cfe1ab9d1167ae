"""A stand-in for Stripe's API v1, as far as docs.stripe.com tells what an idempotency key does there.

From "Idempotent requests" and "Advanced error handling":

- the first answer for a key is saved, status and body, once the endpoint began to execute: failures and 500 too;
- the same key with the same parameters gets that answer again, with `Idempotent-Replayed: true`;
- with other parameters it is refused: 400, type `idempotency_error`;
- while the first request is executing it is refused: 409, code `idempotency_key_in_use`;
- nothing is saved of what did not begin to execute: no API key (401), too many requests (429), invalid parameters
  (400), that 409;
- keys have up to 255 characters, and mean nothing on GET.

Keys that are "at least 24 hours old" may be forgotten there; here they are not.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from urllib.parse import parse_qsl, urlsplit

from tests.playbook.http_server import HttpServer

PATH = "/v1/payment_intents"
LONGEST_KEY = 255


class Fault(Enum):
    """What goes wrong with the next requests, one each."""

    RATE_LIMIT = "429, before anything is executed"
    FAIL = "500, and nothing was charged"
    CHARGE_AND_FAIL = "500, and it was charged"
    CHARGE_AND_HANG = "it was charged, and no answer comes"
    CHARGE_AND_HANG_UP = "it was charged, and the connection is closed"


class StripeServer(HttpServer):
    def __init__(self) -> None:
        self.faults: deque[Fault] = deque()
        self.charges: list[dict] = []
        self.asked: list[tuple[str, str]] = []  # (method, idempotency key) of each request
        #: Called when a charge was made, before anybody is told.
        self.on_charged: Callable[[], None] = lambda: None
        #: While it is not set, charges do not begin.
        self.open = threading.Event()
        self.open.set()
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._saved: dict[str, tuple[tuple, tuple[int, bytes] | None]] = {}
        super().__init__()

    def forget(self) -> None:
        """As if nobody had ever asked anything."""
        for memory in (self.faults, self.charges, self.asked, self._saved):
            memory.clear()
        self.on_charged = lambda: None

    def close(self) -> None:
        self._end.set()
        self.open.set()
        super().close()

    def answer(self, method, path, headers, body):
        key = headers.get("Idempotency-Key", "")
        with self._lock:
            self.asked.append((method, key))
        if not headers.get("Authorization"):
            return _error(401, "invalid_request_error", "You did not provide an API key.")
        if method == "GET":
            return self._listed(dict(parse_qsl(urlsplit(path).query)))
        with self._lock:
            fault = self.faults.popleft() if self.faults else None
        if fault is Fault.RATE_LIMIT:
            return _error(429, "invalid_request_error", "Too many requests", code="rate_limit", after="1")
        if len(key) > LONGEST_KEY:
            return _error(400, "invalid_request_error", f"Idempotency keys have up to {LONGEST_KEY} characters.")
        return self._once(key, (path, body), fault)

    def _once(self, key, what, fault):
        """The idempotency layer."""
        parameters = dict(parse_qsl(what[1].decode()))
        with self._lock:
            if key in self._saved:
                return self._again(key, what)
            if why := _invalid(parameters):
                return _error(400, "invalid_request_error", why)
            self._saved[key] = what, None
        answer = self._execute(parameters, fault)
        with self._lock:
            self._saved[key] = what, answer
        return self._delivered(answer, fault)

    def _again(self, key, what):
        first, answer = self._saved[key]
        if first != what:
            return _error(
                400,
                "idempotency_error",
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request.",
            )
        if answer is None:
            message = "There is currently another in-progress request using this Idempotent Key."
            return _error(409, "invalid_request_error", message, code="idempotency_key_in_use")
        return answer[0], {"Idempotent-Replayed": "true"}, answer[2]

    def _execute(self, parameters, fault):
        self.open.wait(30)
        if fault is Fault.FAIL:
            return _error(500, "api_error", "An error occurred on our side.")
        if parameters.get("payment_method") == "pm_card_visa_chargeDeclined":
            return _error(402, "card_error", "Your card was declined.", code="card_declined")
        metadata = {name[9:-1]: value for name, value in parameters.items() if name.startswith("metadata[")}
        with self._lock:
            charge = {
                "id": f"pi_{len(self.charges) + 1}",
                "object": "payment_intent",
                "amount": int(parameters["amount"]),
                "currency": parameters["currency"],
                "customer": parameters.get("customer"),
                "created": int(time.time()),
                "status": "succeeded",
                "metadata": metadata,
            }
            self.charges.append(charge)
        if fault is Fault.CHARGE_AND_FAIL:
            return _error(500, "api_error", "An error occurred on our side.")
        return 200, {}, json.dumps(charge).encode()

    def _delivered(self, answer, fault):
        if answer[0] == 200:
            self.on_charged()
        if fault is Fault.CHARGE_AND_HANG:
            self._end.wait(30)
        return None if fault in (Fault.CHARGE_AND_HANG, Fault.CHARGE_AND_HANG_UP) else answer

    def _listed(self, query):
        with self._lock:
            found = [charge for charge in self.charges if query.get("customer") in (None, charge["customer"])]
        page = {"object": "list", "url": PATH, "has_more": False, "data": found[::-1]}
        return 200, {}, json.dumps(page).encode()


def _invalid(parameters) -> str:
    if not parameters.get("amount", "").isdigit() or parameters["amount"] == "0":
        return "Invalid positive integer: amount"
    return "" if parameters.get("currency") else "Missing required param: currency."


def _error(status, kind, message, *, code=None, after=""):
    error = {"type": kind, "message": message, **({"code": code} if code else {})}
    return status, {"Retry-After": after} if after else {}, json.dumps({"error": error}).encode()
