"""Calls from a running event loop."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, connections, transaction

from celeriac.api.enqueue import outside_loop
from celeriac.ledger.models import Job
from tests.integration.looking import ended, state
from tests.shop.celery import app
from tests.shop.models import Customer
from tests.shop.tasks import add, noop

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


@pytest.fixture(autouse=True)
def closed_helpers():
    """The connections of the helper threads must not outlive the database."""
    yield

    async def close():
        await sync_to_async(connections.close_all)()
        for _ in range(8):  # four threads, any of which may take it
            outside_loop(connections.close_all)

    asyncio.run(close())


async def turns(count):
    """Let the loop turn so many times."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        turned = loop.create_future()
        loop.call_soon(turned.set_result, None)
        await turned


@contextmanager
def held_up(until):
    """Let nobody insert a job before the event."""
    held = threading.Event()

    def hold():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE celeriac_job IN SHARE MODE")
            held.set()
            until.wait(10)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    try:
        yield
    finally:
        until.set()
        thread.join(10)


def test_delay_in_a_loop_works_as_everywhere():
    async def call():
        return add.delay(1, 2)

    result = asyncio.run(call())
    assert result.get(timeout=10) == 3


def test_a_canvas_in_a_loop_works_as_everywhere():
    async def call():
        return (add.s(1, 2) | add.s(3)).apply_async()

    assert asyncio.run(call()).get(timeout=10) == 6


def test_states_are_read_in_a_loop():
    result = add.delay(1, 2)
    ended(result)

    async def look():
        return result.state, result.result

    assert asyncio.run(look()) == ("SUCCESS", 3)


def test_adelay_leaves_the_loop_free():
    """While the insert is held up, the loop goes on ticking."""
    blocked = threading.Event()

    async def main():
        with held_up(blocked):
            task = asyncio.ensure_future(noop.adelay(7))
            await turns(100)  # were the loop blocked, the lock would not be let go below
            assert not task.done()
            blocked.set()
            return await task

    result = asyncio.run(main())
    assert result.get(timeout=10) == 7


def test_adelay_joins_the_transaction_of_the_code_around():
    async def inside():
        return await add.adelay(1, 2)

    class Undo(Exception):
        pass

    def undone():
        with transaction.atomic():
            Customer.objects.create(name="Ada", email="ada@example.com")
            async_to_sync(inside)()
            assert Job.objects.count() == 1
            raise Undo

    with pytest.raises(Undo):
        undone()
    assert Job.objects.count() == 0
    with transaction.atomic():
        result = async_to_sync(inside)()
    assert state(result) == ("succeeded", "")


def test_aapply_async_takes_the_options():
    async def main():
        return await add.aapply_async((1, 2), task_id="from a loop", countdown=0.01)

    assert asyncio.run(main()).id == "from a loop"
    assert app.AsyncResult("from a loop").get(timeout=10) == 3
