"""The playbook's webhook: backoff, Retry-After, 4xx, and an outage from the first failure to the last delivery."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from django.utils import timezone

from celeriac.api import operate
from celeriac.api.operate import By, Selection
from celeriac.api.retrying import policy_of
from celeriac.ledger import dead
from celeriac.ledger.models import Job
from tests.integration.looking import attempts, ended, job, lines, settings_env, state
from tests.playbook.http_server import HttpServer
from tests.servers import free_port
from tests.shop.celery import app
from tests.shop.playbook import webhook_send, webhook_send_soon
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]

ADA = By("ada", "the subscriber is back", "code")
#: A slow machine may take so much longer between two writes than the arithmetic says.
SLACK = 0.05


class Subscriber(HttpServer):
    """Answers what it is told to, and counts the events that it took."""

    def __init__(self, *answers, port=0):
        self.answers = list(answers)
        self.taken = Counter()
        self.keys = set()
        super().__init__(port)

    def answer(self, method, path, headers, body):
        status, sent = self.answers.pop(0) if self.answers else (200, {})
        if status == 200:
            self.taken[json.loads(body)["event"]] += 1
            self.keys.add(headers["Idempotency-Key"])
        return status, sent, b""


@pytest.fixture(scope="module")
def deaths(tmp_path_factory):
    return tmp_path_factory.mktemp("webhook") / "deaths"


@pytest.fixture(scope="module")
def worker_env(deaths):
    return settings_env(CELERY_IMPORTS=["tests.shop.playbook"]) | {"WEBHOOK_DEATHS": str(deaths)}


@pytest.fixture
def subscriber():
    servers = []

    def start(*answers, port=0):
        servers.append(Subscriber(*answers, port=port))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def rests(result, number):
    """Wait until the job waits after its failure *number*; return it and the seconds of that wait, as they were set."""
    wait_until(lambda: job(result).state == "scheduled" and len(attempts(result)) == number)
    row = job(result)
    return row, (row.run_at - attempts(result)[-1].finished_at).total_seconds()


def test_the_waits_double_up_to_the_cap():
    policy = policy_of(webhook_send)
    assert [policy.longest(retries) for retries in range(5)] == [1, 2, 4, 5, 5]


def test_each_wait_is_jittered_within_its_bounds(subscriber):
    server = subscriber(*[(503, {})] * 4)
    result = webhook_send.delay(server.url, "order.paid", {"order": 7})
    for number, longest in enumerate([1, 2, 4, 5], 1):
        _, wait = rests(result, number)
        assert longest / 10 - SLACK <= wait <= longest + SLACK
        Job.objects.filter(id=result.id).update(run_at=timezone.now())  # seen; nobody has to sit through it
    assert result.get(timeout=10) == 200
    assert server.taken == {"order.paid": 1}


def test_retry_after_is_waited_for_though_the_cap_is_shorter(subscriber):
    server = subscriber((429, {"Retry-After": "30"}))
    result = webhook_send.delay(server.url, "order.paid", {})
    _, wait = rests(result, 1)
    assert 30 - SLACK <= wait <= 33 + SLACK
    Job.objects.filter(id=result.id).update(run_at=timezone.now())
    assert result.get(timeout=10) == 200


def test_a_subscriber_that_is_gone_is_no_dead_letter(subscriber):
    result = webhook_send.delay(subscriber((410, {})).url, "order.paid", {})
    assert state(result) == ("cancelled", "discarded")


def test_a_request_that_is_refused_is_dead_at_once(subscriber):
    result = webhook_send.delay(subscriber((400, {})).url, "order.paid", {})
    assert state(result) == ("dead", "failed")
    [story] = attempts(result)
    assert (story.kind, story.exception) == ("failed", "requests.exceptions.HTTPError")


@pytest.mark.parametrize("how", ["nothing listens", "503"])
def test_an_outage_from_the_first_failure_to_the_last_delivery(subscriber, deaths, how):
    deaths.unlink(missing_ok=True)
    port = free_port()
    if how == "503":
        down = subscriber(*[(503, {})] * 10_000, port=port)
    events = [f"order-{number}" for number in range(15)]
    url = f"http://127.0.0.1:{port}/orders"
    results = app.enqueue_many(webhook_send_soon.s(f"{url}/{n}", event, {"n": n}) for n, event in enumerate(events))
    rows = ended(*results, timeout=30)
    assert {(row.state, row.reason) for row in rows} == {("dead", "exhausted")}
    assert {len(attempts(result)) for result in results} == {4}

    # One cause, one group; each death told of once.
    [group] = dead.groups()
    assert (group.count, group.task) == (15, webhook_send_soon.name)
    wait_until(lambda: len(lines(deaths)) == 15)
    assert sorted(lines(deaths)) == sorted(result.id for result in results)

    # Too early: one is sent ahead, fails of the same, and the others are left alone.
    selection = Selection(fingerprint=group.fingerprint)
    early = operate.replay(selection, ADA, canary=True)
    wait_until(lambda: operate.go_on(early) == operate.Step.OVER, 20)
    assert (early.state, early.changed) == ("stopped", 1)
    assert "failed again" in early.note or "died again" in early.note
    wait_until(lambda: dead.count(selection) == 15)
    wait_until(lambda: len(lines(deaths)) == 16)  # its second death is another one

    if how == "503":
        down.close()
    server = subscriber(port=port)
    late = operate.replay(selection, ADA, canary=True)
    wait_until(lambda: operate.go_on(late) == operate.Step.OVER, 20)
    assert (late.state, late.changed) == ("done", 15)
    ended(*results, timeout=30)
    wait_until(lambda: not Job.objects.filter(task=webhook_send_soon.name).exclude(state="succeeded").exists())
    assert server.taken == Counter(events)
    assert server.keys == {result.id for result in results}
