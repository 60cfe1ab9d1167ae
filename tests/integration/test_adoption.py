"""What reaches a worker from a producer without Celeriac becomes a job, or a dead job; it never vanishes."""

from __future__ import annotations

import base64
import json
import socket
from uuid import uuid4

import celery
import pytest
import redis
from kombu import Connection, Exchange, Producer, Queue

from celeriac.api import operate
from celeriac.ledger.models import Job
from tests.integration.looking import attempts, ended, job, lines, settings_env, state
from tests.shop.celery import app
from tests.shop.tasks import fail, fleeting, noop, note
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
RABBIT = "amqp://guest:guest@127.0.0.1:5672//"


@pytest.fixture
def foreign(broker):
    """A producer that never heard of Celeriac."""
    with celery.Celery("foreign", broker=broker, set_as_current=False) as app:
        yield app


@pytest.fixture(scope="module")
def worker_env(broker_env):
    return broker_env


def publish(url, body, **properties):
    """Put a raw message in the worker's queue."""
    queue = Queue("celery", Exchange("celery"), routing_key="celery")
    with Connection(url) as connection, connection.channel() as channel:
        Producer(channel).publish(body, routing_key="celery", exchange=queue.exchange, declare=[queue], **properties)


def unacked(url, queue="celery"):
    """How many messages the broker still has for the worker."""
    with redis.Redis.from_url(url) as client:
        return client.llen(queue) + client.hlen("unacked")


def test_a_foreign_call_is_adopted_with_its_id_and_options(worker, foreign, broker, tmp_path):
    path = tmp_path / "notes"
    sent = foreign.send_task("tests.shop.tasks.note", (str(path), "hello"), headers={"tenant": "acme"}, priority=4)
    wait_until(lambda: lines(path) == ["hello"])
    row = ended(sent)[0]
    assert (row.state, row.queue, row.task) == ("succeeded", "celery", note.name)
    assert '"tenant":"acme"' in row.headers
    wait_until(lambda: unacked(broker) == 0)


def test_a_message_delivered_twice_is_one_job(worker, foreign, broker, tmp_path):
    path, id_ = tmp_path / "notes", str(uuid4())
    for _ in range(2):
        foreign.send_task("tests.shop.tasks.note", (str(path), "once"), task_id=id_)
    ended(id_)
    after = foreign.send_task("tests.shop.tasks.noop")
    ended(after)
    wait_until(lambda: unacked(broker) == 0)
    assert lines(path) == ["once"]
    assert Job.objects.filter(task=note.name).count() == 1


def test_a_foreign_countdown_and_expiry_keep_their_meaning(worker, foreign):
    later = foreign.send_task("tests.shop.tasks.noop", countdown=3600)
    gone = foreign.send_task("tests.shop.tasks.noop", countdown=0.5, expires=0.1)
    wait_until(lambda: Job.objects.filter(id=later.id).exists())
    assert job(later).state == "scheduled"
    assert state(gone) == ("cancelled", "expired")


def test_a_foreign_chain_runs_to_its_end(worker, foreign):
    steps = [foreign.signature("tests.shop.tasks.add", (1, 2)), foreign.signature("tests.shop.tasks.add", (10,))]
    last = celery.chain(*steps, app=foreign).apply_async()
    wait_until(lambda: Job.objects.filter(id=last.id, state="succeeded").exists())
    assert job(last).result == "13"


def test_an_unknown_task_waits_for_a_worker_that_knows_it(worker, foreign, celery_worker_process, broker_env):
    sent = foreign.send_task("tests.shop.later.surprise", (1,))
    wait_until(lambda: Job.objects.filter(id=sent.id, state="waiting").exists())
    assert job(sent).reason == "unregistered"
    ended(foreign.send_task("tests.shop.tasks.noop"))
    assert job(sent).state == "waiting"
    celery_worker_process("tests.shop.celery", "-c", "1", "-I", "tests.shop.later", "-n", "new@%h", env=broker_env)
    assert state(sent) == ("succeeded", "")


def test_a_durable_call_of_an_unknown_task_waits_too(worker):
    result = app.send_task("tests.shop.nowhere.at_all")
    wait_until(lambda: job(result).state == "waiting")
    assert job(result).reason == "unregistered"


ID = str(uuid4())
UNREADABLE = {
    "no JSON": (b"{not json", {"headers": {"task": noop.name, "id": ID}}),
    "not text": (b"\xff\xfe\x00", {"headers": {"task": noop.name, "id": ID}}),
    "JSON of another shape": (b'{"hello": "world"}', {"headers": {"task": noop.name, "id": ID}}),
    "a list too short": (b"[[1]]", {"headers": {"task": noop.name, "id": ID}}),
    "args that are none": (b"[5, 6, 7]", {"headers": {"task": noop.name, "id": ID}}),
    "a number": (b"42", {"headers": {"task": noop.name, "id": ID}}),
    "no task's message": (b'"hello"', {"headers": {}}),
    "a dict that is no task": (b'{"x": 1}', {"headers": {}}),
    "pickle": (
        b"cos\nsystem\n(S'true'\ntR.",
        {"headers": {"task": noop.name, "id": ID}, "content_type": "application/x-python-serialize"},
    ),
    "an unknown kind": (b"???", {"headers": {"task": noop.name, "id": ID}, "content_type": "text/martian"}),
    "an eta that is none": (b"[[], {}, {}]", {"headers": {"task": noop.name, "id": ID, "eta": "tomorrow"}}),
}


def test_what_cannot_be_read_is_kept_as_dead_and_the_worker_lives_on(worker, broker, foreign):
    for name, (body, properties) in UNREADABLE.items():
        headers = dict(properties["headers"])
        if headers.get("id") == ID:
            headers["id"] = f"{name}"
        publish(
            broker,
            body,
            **{"content_type": "application/json", "content_encoding": "utf-8", **properties, "headers": headers},
        )
    ended(foreign.send_task("tests.shop.tasks.noop"))
    wait_until(lambda: unacked(broker) == 0)
    dead = list(Job.objects.filter(state="dead"))
    kept = {base64.b64decode(json.loads(row.headers)["raw"]) for row in dead if row.reason == "undecodable"}
    missing = [name for name, (body, _) in UNREADABLE.items() if body not in kept]
    assert missing == []
    assert len(dead) == len(UNREADABLE)
    assert all(attempts(row.id) for row in dead)
    assert worker.process.poll() is None


def test_a_task_that_is_not_durable_runs_by_the_broker_alone(worker, broker, tmp_path):
    path = tmp_path / "notes"
    fleeting.delay(str(path), "by task")
    noop_result = note.apply_async((str(path), "by call"), durable=False)
    wait_until(lambda: len(lines(path)) == 2)
    assert not Job.objects.filter(state__in=["ready", "running", "waiting", "scheduled"]).exists()
    worker.wait_for(f"{note.name}[{noop_result.id}] succeeded")


def test_one_that_fails_on_the_broker_is_a_dead_letter_that_can_be_replayed(worker, broker):
    result = fail.apply_async(("by broker",), durable=False)
    wait_until(lambda: Job.objects.filter(id=result.id).exists())
    row = job(result)
    assert (row.state, row.reason, row.queue, row.exception) == ("dead", "failed", "celery", "ValueError")
    assert (row.task, row.args) == (fail.name, '["by broker"]')
    action = operate.replay(operate.Selection.of(result.id), operate.By("ada"))
    assert (action.changed, action.skipped) == (1, 0)
    assert ended(result)[0].replays == 1


def test_what_is_not_durable_is_in_no_ledger_before_it_runs(broker, tmp_path):
    """Nobody consumes this queue: the calls are on the broker and nowhere else."""
    path = str(tmp_path / "notes")
    fleeting.apply_async((path, "x"), queue="nobodys")
    note.apply_async((path, "y"), durable=False, queue="nobodys")
    durable = fleeting.apply_async((path, "z"), durable=True, queue="nobodys")
    assert unacked(broker, "nobodys") == 2
    assert [str(row.id) for row in Job.objects.all()] == [durable.id]


def _rabbit_is_there():
    try:
        socket.create_connection(("127.0.0.1", 5672), 0.3).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _rabbit_is_there(), reason="no RabbitMQ at 127.0.0.1:5672")
def test_rabbitmq_is_adopted_from_too(celery_worker_process):
    queue = f"celeriac-{uuid4()}"
    env = settings_env(CELERY_BROKER_URL=RABBIT, CELERY_TASK_DEFAULT_QUEUE=queue)
    worker = celery_worker_process("tests.shop.celery", "-c", "1", env=env)
    with celery.Celery("foreign", broker=RABBIT, set_as_current=False) as foreign:
        sent = foreign.send_task("tests.shop.tasks.noop", queue=queue)
        assert {row.state for row in ended(sent)} == {"succeeded"}
        with foreign.connection_for_write() as connection:
            left = wait_until(lambda: [connection.default_channel.queue_declare(queue, passive=True).message_count])
            assert left == [0]
            connection.default_channel.queue_delete(queue)
    assert worker.process.poll() is None
