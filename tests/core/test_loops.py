"""The loop of every background service: interruptible, surviving errors, saying each trouble once."""

from __future__ import annotations

import logging
import threading

import pytest
from django.db.utils import DataError, IntegrityError, InterfaceError, OperationalError

from celeriac.loops import Backoff, Loop, is_conflict, is_outage

AWAY = OperationalError("connection refused")
PATIENCE = 10.0


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.DEBUG, "celeriac")
    return lambda level: [record.getMessage() for record in caplog.records if record.levelno == level]


@pytest.mark.parametrize("error", [OperationalError(), InterfaceError()])
def test_a_database_that_cannot_be_reached_is_an_outage(error):
    assert is_outage(error)


@pytest.mark.parametrize("error", [DataError(), IntegrityError(), ValueError(), OSError()])
def test_a_database_that_refuses_is_not(error):
    assert not is_outage(error)


def caused(driver, error=OperationalError):
    """As Django raises: its own error from the driver's."""
    wrapped = error(*driver.args)
    wrapped.__cause__ = driver
    return wrapped


class Driver(Exception):
    def __init__(self, *args, **codes):
        super().__init__(*args)
        vars(self).update(codes)


@pytest.mark.parametrize(
    "error",
    [
        caused(Driver("could not serialize", sqlstate="40001")),
        caused(Driver("deadlock detected", pgcode="40P01")),
        caused(Driver(1213, "Deadlock found")),
        caused(Driver(1205, "Lock wait timeout exceeded")),
        caused(Driver("database is locked")),
        caused(caused(Driver("deadlock detected", sqlstate="40P01")), RuntimeError),
    ],
)
def test_transactions_in_each_others_way_are_a_conflict(error):
    assert is_conflict(error)


@pytest.mark.parametrize(
    "error", [OperationalError(), AWAY, ValueError(1213), caused(Driver("no", sqlstate="23505"), IntegrityError)]
)
def test_nothing_else_is(error):
    assert not is_conflict(error)


def test_errors_that_cause_each_other_come_to_an_end():
    error = ValueError()
    error.__cause__ = caused(error)
    assert not is_conflict(error)


class TestBackoff:
    def test_says_an_outage_once_and_its_end_once(self, said):
        backoff = Backoff("the flusher")
        for _ in range(2):
            for _ in range(5):
                backoff.failed(AWAY)
            for _ in range(3):
                backoff.recovered()
        [first, second] = said(logging.ERROR)
        assert first == second
        assert "the flusher" in first
        assert "connection refused" in first
        assert [text.split(": ")[1] for text in said(logging.WARNING)] == [
            "the ledger's database is back after 5 attempts."
        ] * 2

    def test_says_nothing_when_all_is_well(self, said):
        Backoff("the flusher").recovered()
        assert said(logging.WARNING) == []

    def test_names_an_error_without_a_text(self, said):
        Backoff("the flusher").failed(OperationalError())
        assert "(OperationalError)" in said(logging.ERROR)[0]

    def test_waits_grow_up_to_the_cap_and_scatter(self):
        backoff = Backoff("s", base=0.1, cap=5.0)
        waits = [backoff.failed(AWAY) for _ in range(40)]
        for tries, wait in enumerate(waits, 1):
            ceiling = min(5.0, 0.1 * 2.0**tries)
            assert ceiling / 2 <= wait <= ceiling
        assert len(set(waits[10:])) > 10

    def test_a_very_long_outage_overflows_nothing(self):
        backoff = Backoff("s")
        backoff.failures = 100_000
        assert backoff.failed(AWAY) <= 5.0

    def test_the_next_outage_starts_small_again(self):
        backoff = Backoff("s", base=0.1, cap=100.0)
        for _ in range(12):
            backoff.failed(AWAY)
        backoff.recovered()
        assert backoff.failed(AWAY) <= 0.2


class Rounds:
    """A service whose rounds go as told: an error is raised, a number is rested; then it rests for long."""

    def __init__(self, *script: float | Exception) -> None:
        self.script = list(script)
        self.count = 0
        self.over = threading.Event()
        self.loop = Loop("tested", self.round)

    def round(self) -> float:
        self.count += 1
        if not self.script:
            self.over.set()
            return 3600.0
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


@pytest.fixture
def rounds(monkeypatch):
    started: list[Rounds] = []
    # What is tested is that it rests, not how long.
    monkeypatch.setattr("celeriac.loops.random.uniform", lambda low, high: 0.0)

    def start(*script: float | Exception) -> Rounds:
        service = Rounds(*script)
        started.append(service)
        service.loop.start()
        return service

    yield start
    for service in started:
        service.loop.stop()
        assert not service.loop.is_alive()


class TestLoop:
    def test_calls_its_round_until_stopped_and_a_stop_ends_a_rest(self, rounds):
        service = rounds(0.0, 0.0)
        assert service.over.wait(PATIENCE)
        service.loop.stop(PATIENCE)
        assert not service.loop.is_alive()
        assert service.count == 3

    def test_a_wake_ends_a_rest(self, rounds):
        service = rounds()
        assert service.over.wait(PATIENCE)
        service.over.clear()
        service.loop.wake()
        assert service.over.wait(PATIENCE)
        assert service.count == 2

    def test_a_wake_during_a_round_is_not_lost(self):
        seen = threading.Event()
        calls = []

        def round_() -> float:
            calls.append(None)
            if len(calls) == 1:
                loop.wake()
            else:
                seen.set()
            return 3600.0

        loop = Loop("tested", round_)
        loop.start()
        assert seen.wait(PATIENCE)
        loop.stop()

    def test_an_outage_is_survived_said_once_and_its_end_once(self, rounds, said):
        service = rounds(AWAY, AWAY, AWAY)
        assert service.over.wait(PATIENCE)
        service.loop.stop()
        assert len(said(logging.ERROR)) == 1
        assert [text for text in said(logging.WARNING) if "back after 3 attempts" in text]

    def test_an_error_of_its_own_is_survived_and_told_with_its_traceback(self, rounds, caplog):
        service = rounds(ValueError("bug"))
        service.loop.wake()
        while not service.over.wait(0.01):
            service.loop.wake()
        [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert record.exc_info[0] is ValueError
        assert "tested failed; it goes on" in record.getMessage()

    def test_may_be_stopped_from_within_its_round(self):
        loop = Loop("tested", lambda: loop.stop() or 3600.0)
        loop.start()
        loop.join(PATIENCE)
        assert not loop.is_alive()

    def test_may_be_stopped_before_it_started(self):
        loop = Loop("tested", lambda: pytest.fail("it ran"))
        loop.stop()
        loop.start()
        loop.join(PATIENCE)
        assert not loop.is_alive()

    def test_does_not_keep_a_process_alive(self):
        assert Loop("tested", float).daemon


CUT = 99.0  # seconds: a rest in which the connection is cut


class Watched(Loop):
    """A service that has to know of its failures, and rests in its own way."""

    def __init__(self, script: list[float | Exception]) -> None:
        super().__init__("watched", self.step, cap=0.5)
        self.script = script
        self.did: list[object] = []
        self.over = threading.Event()

    def step(self) -> float:
        now = self.script.pop(0)
        self.did.append("round")
        if isinstance(now, Exception):
            raise now
        return now

    def pause(self, seconds: float) -> None:
        self.did.append(seconds)
        if seconds == CUT:
            raise AWAY
        if not self.script:
            self.over.set()
            super().pause(3600.0)

    def failed(self) -> None:
        self.did.append("failed")


class TestALoopOfItsOwnKind:
    @pytest.fixture
    def watched(self, monkeypatch):
        started: list[Watched] = []
        monkeypatch.setattr("celeriac.loops.random.uniform", lambda low, high: high)

        def start(*script: float | Exception) -> list[object]:
            started.append(Watched(list(script)))
            started[-1].start()
            assert started[-1].over.wait(PATIENCE)
            return started[-1].did

        yield start
        for loop in started:
            loop.stop()
            assert not loop.is_alive()

    def test_pauses_in_its_own_way_for_as_long_as_its_round_said(self, watched):
        assert watched(1.5, 0.0) == ["round", 1.5, "round", 0.0]

    def test_is_told_of_a_failure_before_it_pauses(self, watched):
        assert watched(AWAY, 7.0) == ["round", "failed", 0.2, "round", 7.0]

    def test_is_told_of_each_failure_and_of_errors_of_its_own(self, watched):
        assert watched(AWAY, ValueError("bug"), 7.0).count("failed") == 2

    def test_waits_no_longer_than_its_cap_however_long_the_outage(self, watched):
        waits = [step for step in watched(*[AWAY] * 8, 7.0) if isinstance(step, float)]
        assert waits == [0.2, 0.4, *[0.5] * 6, 7.0]

    def test_a_pause_that_fails_is_a_failure_too(self, watched):
        """Presence rests on its session, which may be cut."""
        assert watched(CUT, 7.0) == ["round", CUT, "failed", 0.2, "round", 7.0]

    def test_that_was_stopped_in_its_round_does_not_pause(self):
        loop = Watched([3.0])
        loop._round = lambda: loop.stop() or 3600.0
        loop.start()
        loop.join(PATIENCE)
        assert loop.did == []
