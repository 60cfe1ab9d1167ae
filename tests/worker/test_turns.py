"""Signals while the handler of SIGTERM runs: handled after it, in order, none lost."""

from __future__ import annotations

import signal

import pytest

from celeriac.worker.turns import Turns, install

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


@pytest.fixture(autouse=True)
def restored():
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture
def said():
    """What handlers said that raise, while they run, the signals that are listed for their own."""
    said: list[str] = []
    inside = {signum: [] for signum in SIGNALS}

    def handler(signum, _frame):
        said.append(f"begin {signal.Signals(signum).name}")
        while inside[signum]:
            signal.raise_signal(inside[signum].pop())
        said.append(f"end {signal.Signals(signum).name}")

    for signum in SIGNALS:
        signal.signal(signum, handler)
    install()
    return said, inside


@pytest.mark.parametrize("second", SIGNALS)
def test_what_comes_during_sigterm_is_handled_after_it(said, second):
    said, inside = said
    inside[signal.SIGTERM].append(second)
    signal.raise_signal(signal.SIGTERM)
    name = second.name
    assert said == ["begin SIGTERM", "end SIGTERM", f"begin {name}", f"end {name}"]


def test_a_cold_shutdown_may_be_interrupted(said):
    said, inside = said
    inside[signal.SIGQUIT].append(signal.SIGINT)
    signal.raise_signal(signal.SIGQUIT)
    assert said == ["begin SIGQUIT", "begin SIGINT", "end SIGINT", "end SIGQUIT"]


def test_a_cold_shutdown_that_had_to_wait_may_be_interrupted(said):
    said, inside = said
    inside[signal.SIGTERM].append(signal.SIGQUIT)
    inside[signal.SIGQUIT].append(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)
    assert said == ["begin SIGTERM", "end SIGTERM", "begin SIGQUIT", "begin SIGINT", "end SIGINT", "end SIGQUIT"]


def test_a_handler_that_raises_is_not_the_last():
    seen = []

    def fails(signum, _frame):
        seen.append(signum)
        raise SystemExit

    turns = Turns(signal.SIGTERM)
    for _ in range(2):
        with pytest.raises(SystemExit):
            turns.handle(fails, signal.SIGTERM, None)
    assert seen == [signal.SIGTERM, signal.SIGTERM]
