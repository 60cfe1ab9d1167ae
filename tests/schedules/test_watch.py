"""The dead man's switch: how the jobs of ticks ended, and who is told of what did not happen."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from celeriac import Recurring
from celeriac.api import payload
from celeriac.api.builtins import TELL_OF_TICK
from celeriac.schedules import watch as watch_module
from celeriac.schedules.models import Tick
from celeriac.schedules.watch import prune, watch
from celeriac.signals import schedule_missed
from tests.ledger_helpers import WORKER
from tests.schedules.conftest import MONDAY

MINUTE = timedelta(minutes=1)


@pytest.fixture
def heard():
    """What a receiver of `schedule_missed` was told."""
    told = []

    def receive(schedule, instant, reason, tick, **_):
        told.append((schedule, instant, reason, tick))

    schedule_missed.connect(receive)
    yield told
    schedule_missed.disconnect(receive)


@pytest.fixture
def fired(clockwork):
    """A tick of 12:01 whose job has five minutes; and what makes an end of that job."""
    clockwork.write(s=Recurring(MINUTE, within=300))
    clockwork.passes(seconds=60)
    clockwork.rows().update(next_tick=None)

    def ends(state: str, after: float = 0.0, **fields):
        clockwork.now += timedelta(seconds=after)
        if state == "running":
            fields |= {"worker": WORKER, "claim_no": 1}
        elif state != "ready":
            fields |= {"finished_at": clockwork.now, "worker": None}
        clockwork.jobs().filter(task="tests.shop.tasks.noop").update(state=state, **fields)
        return look(clockwork)

    return ends


def look(clockwork) -> tuple[str, str]:
    watch(clockwork.app)
    tick = clockwork.ticks().get()
    return tick.outcome, tick.told


def tellers(clockwork):
    return clockwork.jobs().filter(task=TELL_OF_TICK)


def tell(clockwork) -> None:
    """Run the jobs that tell, as a worker does."""
    for job in tellers(clockwork):
        clockwork.app.tasks[TELL_OF_TICK](*payload.decode(job.args))


@pytest.mark.parametrize(
    ("state", "after", "outcome"),
    [
        ("succeeded", 299, ("succeeded", "")),
        ("succeeded", 300, ("succeeded", "")),
        ("succeeded", 301, ("succeeded", "overdue")),
        ("dead", 10, ("dead", "dead")),
        ("cancelled", 10, ("cancelled", "dead")),
        ("running", 300, ("fired", "")),
        ("running", 301, ("fired", "overdue")),
        ("ready", 301, ("fired", "overdue")),
    ],
)
def test_what_came_of_a_job(clockwork, fired, heard, state, after, outcome):
    assert fired(state, after) == outcome
    tick = clockwork.ticks().get()
    assert (tick.ended_at is not None) == (outcome[0] != "fired")
    tell(clockwork)
    assert [(name, instant, reason) for name, instant, reason, _ in heard] == (
        [("s", MONDAY + MINUTE, outcome[1])] if outcome[1] else []
    )
    assert [told.id for *_, told in heard] == ([tick.id] if outcome[1] else [])


def test_who_is_late_and_succeeds_then_is_told_of_once(clockwork, fired, heard):
    assert fired("running", 301) == ("fired", "overdue")
    assert look(clockwork) == ("fired", "overdue")
    assert fired("succeeded", 10) == ("succeeded", "overdue")
    assert tellers(clockwork).count() == 1


def test_late_and_dead_then_too(clockwork, fired, heard):
    fired("running", 301)
    assert fired("dead", 10) == ("dead", "overdue")
    assert tellers(clockwork).count() == 1


def test_a_job_that_is_gone_is_no_alarm(clockwork, fired, heard):
    clockwork.jobs().delete()
    assert look(clockwork) == ("gone", "")
    assert tellers(clockwork).count() == 0


def test_without_a_time_only_the_end_is_written_down(clockwork, heard):
    clockwork.write(s=MINUTE)
    clockwork.passes(seconds=60)
    clockwork.jobs().update(state="dead", finished_at=clockwork.now)
    assert look(clockwork) == ("dead", "")
    assert tellers(clockwork).count() == 0


@pytest.mark.parametrize("state", ["dead", "running"])
def test_of_two_watchers_one_tells(clockwork, fired, heard, monkeypatch, state):
    """The other has read the same before the first wrote."""
    real, between = watch_module._write, []

    def write(app, tick, alias):
        if not between:
            between.append(True)
            real(app, _copy(tick), alias)
        real(app, tick, alias)

    monkeypatch.setattr(watch_module, "_write", write)
    fired(state, 301)
    assert between
    assert tellers(clockwork).count() == 1
    assert clockwork.ticks().get().told == ("overdue" if state == "running" else "dead")


def _copy(tick):
    return Tick(**{field.attname: getattr(tick, field.attname) for field in Tick._meta.concrete_fields})


def test_a_receiver_that_fails_keeps_no_other_from_hearing(clockwork, fired, heard, caplog):
    def fails(**_):
        raise RuntimeError("no")

    schedule_missed.connect(fails)
    try:
        fired("dead")
        tell(clockwork)
    finally:
        schedule_missed.disconnect(fails)
    assert len(heard) == 1
    assert "RuntimeError: no" in caplog.text


def test_where_nobody_listens_it_is_logged_and_no_job(clockwork, fired, caplog):
    with caplog.at_level(logging.ERROR, "celeriac"):
        fired("dead")
    assert caplog.messages == [
        "Schedule s: the tick of 2026-06-01T12:01:00+00:00 was fired, and its job has not succeeded: it is over."
    ]
    assert tellers(clockwork).count() == 0


def test_a_tick_that_was_missed_is_told_of(clockwork, heard):
    clockwork.write(s=MINUTE)
    clockwork.passes(minutes=5)
    tell(clockwork)
    assert [(instant, reason, tick.reason) for _, instant, reason, tick in heard] == [
        (MONDAY + 3 * MINUTE, "missed", "misfire")
    ]


def test_one_whose_row_is_gone_is_still_told_of(clockwork, fired, heard):
    fired("dead")
    clockwork.ticks().delete()
    tell(clockwork)
    assert [(name, reason, tick) for name, _, reason, tick in heard] == [("s", "dead", None)]


def test_without_time_zones_the_tick_is_found(clockwork, fired, heard, settings):
    fired("dead")
    settings.USE_TZ = False
    tell(clockwork)
    assert [tick is not None for *_, tick in heard] == [True]


def test_a_batch_after_the_other(clockwork, monkeypatch):
    monkeypatch.setattr(watch_module, "BATCH", 2)
    clockwork.write(a=MINUTE, b=MINUTE, c=MINUTE)
    clockwork.passes(seconds=60)
    clockwork.jobs().update(state="succeeded", finished_at=clockwork.now)
    after = watch(clockwork.app)
    assert sorted(tick.outcome for tick in clockwork.ticks()) == ["fired", "succeeded", "succeeded"]
    assert watch(clockwork.app, after) == 0
    assert {tick.outcome for tick in clockwork.ticks()} == {"succeeded"}


def test_old_ticks_go_and_those_that_are_watched_stay(clockwork, fired):
    assert prune(clockwork.now + MINUTE) == 0
    fired("succeeded")
    assert prune(clockwork.ticks().get().fired_at) == 0
    assert prune(clockwork.now + MINUTE) == 1
    assert clockwork.ticks().count() == 0
