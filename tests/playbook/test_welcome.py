"""The playbook's mail: retried with backoff while the mail server is away, sent once however often it was asked for."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from aiosmtpd.controller import Controller
from django.db import transaction

from celeriac.api import operate
from celeriac.api.operate import By, Selection
from tests.integration.looking import attempts, ended, settings_env, state
from tests.servers import free_port
from tests.shop.models import Customer
from tests.shop.playbook import send_welcome
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]

PORT = free_port()


@pytest.fixture(scope="module")
def worker_env():
    smtp = "django.core.mail.backends.smtp.EmailBackend"
    return settings_env(
        CELERY_IMPORTS=["tests.shop.playbook"], EMAIL_BACKEND=smtp, EMAIL_HOST="127.0.0.1", EMAIL_PORT=PORT
    )


@pytest.fixture
def ada():
    return Customer.objects.create(name="Ada", email="ada@example.com")


class Mailbox:
    def __init__(self, answer="250 OK"):
        self.answer = answer
        self.mails = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.answer == "250 OK":
            self.mails.append(envelope.rcpt_tos)
        return self.answer


@contextmanager
def mail_server(mailbox):
    controller = Controller(mailbox, hostname="127.0.0.1", port=PORT)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


def test_a_mail_server_that_is_away_is_waited_for(ada):
    """Nothing listens at first: ConnectionRefusedError. By Celery's knobs 1 s, then 2 s, jittered, and no shorter."""
    result = send_welcome.delay(ada.pk)
    wait_until(lambda: len(attempts(result)) == 2)
    with mail_server(Mailbox()) as mailbox:
        assert result.get(timeout=10).startswith("welcomed at attempt")
    assert mailbox.mails == [["ada@example.com"]]
    ada.refresh_from_db()
    assert ada.welcomed_at is not None
    first, second, *_ = attempts(result)
    assert (first.kind, first.exception) == ("retry", "ConnectionRefusedError")
    assert (second.started_at - first.finished_at).total_seconds() >= 0.1


def test_called_twice_it_is_one_mail(ada):
    with mail_server(Mailbox()) as mailbox:
        with transaction.atomic():
            results = [send_welcome.delay(ada.pk) for _ in range(2)]
        assert sorted(result.get(timeout=10) for result in results) == ["welcomed at attempt 1", "welcomed before"]
        assert send_welcome.delay(ada.pk).get(timeout=10) == "welcomed before"
    assert mailbox.mails == [["ada@example.com"]]


def test_what_the_knobs_do_not_name_is_a_dead_letter_and_can_be_replayed(ada):
    """A trap of the playbook: what smtplib raises for "come back later" is an OSError, and no ConnectionError."""
    with mail_server(Mailbox("451 come back later")) as mailbox:
        result = send_welcome.delay(ada.pk)
        assert state(result) == ("dead", "failed")
        [story] = attempts(result)
        assert story.exception == "smtplib.SMTPDataError"
        mailbox.answer = "250 OK"
        operate.replay(Selection.of(result.id), By("ada", "the mail server is back", "code"))
        assert result.get(timeout=10) == "welcomed at attempt 1"
    assert ended(result)[0].replays == 1
    assert mailbox.mails == [["ada@example.com"]]
