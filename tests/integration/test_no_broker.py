"""A broker that is not there, or goes away, stops no durable job."""

from __future__ import annotations

import signal

import pytest

from celeriac.ledger.models import Job, Worker
from tests.integration.looking import ended, settings_env
from tests.servers import Valkey
from tests.shop.tasks import noop

pytestmark = pytest.mark.django_db(transaction=True)
NOBODY = settings_env(CELERY_BROKER_URL="redis://127.0.0.1:1/0")


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_durable_jobs_need_no_broker(celery_worker_process, pool):
    worker = celery_worker_process("tests.shop.celery", "-c", "2", "-P", pool, env=NOBODY, ready=None)
    results = [noop.delay(n) for n in range(50)]
    assert {row.state for row in ended(*results)} == {"succeeded"}
    assert results[7].get(timeout=10) == 7
    worker.wait_for("Cannot connect to redis://")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert not Job.objects.filter(state="running").exists()
    assert not Worker.objects.exists()


def test_a_broker_that_goes_away_stops_no_durable_job(celery_worker_process, tmp_path):
    server = Valkey()
    try:
        worker = celery_worker_process("tests.shop.celery", "-c", "1", env=settings_env(CELERY_BROKER_URL=server.url))
        assert noop.delay(1).get(timeout=10) == 1
    finally:
        server.stop()
    worker.wait_for("onnection")
    results = [noop.delay(n) for n in range(50)]
    assert {row.state for row in ended(*results)} == {"succeeded"}
    assert worker.process.poll() is None
