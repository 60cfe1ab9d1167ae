"""Listener: a wake-up and the end of whoever waits may meet."""

from __future__ import annotations

import os
import threading
from unittest import mock

from celeriac.ledger.listener import Listener


def test_a_wake_up_after_the_end_is_nothing():
    listener = Listener()
    listener.close()
    listener.wake()


def test_nobody_closes_the_pipe_under_a_wake_up():
    listener, write = Listener(), os.write
    closer = threading.Thread(target=listener.close)

    def write_late(file, data):
        closer.start()
        closer.join(0.05)  # it cannot end before this write has
        assert closer.is_alive()
        return write(file, data)

    with mock.patch("celeriac.ledger.listener.os.write", write_late):
        listener.wake()
    closer.join(5)
    assert not closer.is_alive()


def test_a_signal_handler_may_wake_in_the_midst_of_a_wake_up():
    listener, write = Listener(), os.write

    def interrupted(file, data):
        listener.wake()
        return write(file, data)

    with mock.patch("celeriac.ledger.listener.os.write", interrupted):
        listener.wake()
    assert listener.wait(0) == []
    listener.close()
