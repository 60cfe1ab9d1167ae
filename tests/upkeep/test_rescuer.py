"""The rescuer's round: looks only while it leads, forgets when it does not, tells what was written."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from celeriac.ledger import bell
from celeriac.ledger.rows import Ending, Sighting
from celeriac.ledger.verbs import Judged, Rescued
from celeriac.upkeep import rescuer as module
from celeriac.upkeep.census import CHANCE, ENDED, LEASE, MISSED
from celeriac.upkeep.rescuer import rescuer

BEAT = 2.0
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Stage:
    """A ledger, a clock and a lead to play with; the round itself is the real one."""

    def __init__(self) -> None:
        self.now, self.steady, self.leads = 1000.0, 1e6, True
        self.sightings: list[Sighting] = []
        self.on_look = lambda: None
        self.looks = 0
        self.rescued: list[Sighting] = []
        self.told: list[tuple[Sighting, Rescued]] = []
        self.rung: list[str] = []
        self.answer: Rescued | None = Rescued([], set(), later=False, judged=Judged([], [], []))
        self.round = rescuer(
            lambda: self.leads,
            lambda: self.now,
            lambda: self.steady,
            lambda lost, held: pytest.fail("the ledger calls the judge, not the round"),
            lambda lost, rescued: self.told.append((lost, rescued)),
        )

    def look(self) -> list[Sighting]:
        self.looks += 1
        seen = list(self.sightings)
        self.on_look()
        return seen

    def rescue(self, lost, judge):
        self.rescued.append(lost)
        return self.answer

    def passes(self, seconds: float) -> float:
        self.now += seconds
        return self.round()


@pytest.fixture
def stage(monkeypatch, settings):
    settings.CELERIAC = {**settings.CELERIAC, "HEARTBEAT_SECONDS": BEAT}
    stage = Stage()
    monkeypatch.setattr(module.queries, "sightings", stage.look)
    monkeypatch.setattr(module, "rescue", stage.rescue)
    monkeypatch.setattr(bell, "ring_ready", stage.rung.extend)
    monkeypatch.setattr(bell, "ring_done", lambda: stage.rung.append("done"))
    return stage


def silent(age=0.0, *, ended=False):
    return Sighting(uuid4(), "w@here", 4711, BEAT, EPOCH - timedelta(seconds=age), age, ended)


def test_who_does_not_lead_looks_at_nobody_and_asks_again_soon(stage):
    stage.leads = False
    stage.sightings = [silent(100.0, ended=True)]
    assert 0 < stage.round() < BEAT
    assert (stage.looks, stage.rescued) == (0, [])


def test_a_dead_worker_is_rescued_and_it_is_told_and_said(stage, caplog):
    caplog.set_level(logging.ERROR, "celeriac")
    dead = silent(MISSED * BEAT + 0.1, ended=True)
    stage.sightings = [dead, silent()]
    assert 0 < stage.round() <= BEAT
    assert stage.rescued == []
    stage.passes(ENDED * BEAT)
    assert stage.rescued == [dead]
    assert stage.told == [(dead, stage.answer)]
    [said] = caplog.messages
    assert "w@here" in said
    assert "its session has ended" in said


def test_queues_with_work_and_ends_are_rung(stage):
    ends = Judged([], [Ending(uuid4(), 1, "dead")], [])
    stage.sightings = [silent(MISSED * BEAT + 0.1, ended=True)]
    stage.answer = Rescued([], {"a", "b"}, later=True, judged=ends)
    stage.round()
    stage.passes(ENDED * BEAT)
    assert sorted(stage.rung) == sorted(["a", "b", bell.SCHEDULED, "done"])


def test_one_that_was_not_lost_after_all_is_not_told(stage, caplog):
    stage.sightings = [silent(MISSED * BEAT + 0.1, ended=True)]
    stage.answer = None
    stage.round()
    stage.passes(ENDED * BEAT)
    assert (stage.told, stage.rung, caplog.messages) == ([], [], [])


def test_an_ended_session_is_not_believed_until_our_own_have_held(stage):
    stage.sightings = [silent(MISSED * BEAT + 0.1, ended=True)]
    stage.steady = 0.0
    stage.round()
    assert stage.rescued == []
    stage.steady = MISSED * BEAT + 0.1
    stage.passes(ENDED * BEAT)
    assert stage.rescued == stage.sightings


def test_who_leads_again_starts_again(stage):
    stage.sightings = [silent()]
    stage.round()
    stage.leads = False
    stage.passes(LEASE * BEAT)
    stage.leads = True
    stage.passes(1.0)
    assert stage.rescued == []
    stage.passes(LEASE * BEAT + 0.1)
    assert stage.rescued == stage.sightings


def test_a_look_whose_answer_came_after_the_lead_was_lost_concludes_nothing(stage):
    """The database stood still for a minute, and everybody with it: whoever wakes first must not bury the others."""
    stage.sightings = [silent()]
    stage.round()

    def stands_still():
        stage.now += 60.0
        stage.leads = False

    stage.on_look = stands_still
    stage.sightings = [stage.sightings[0]._replace(age=60.0)]
    stage.passes(1.0)
    assert stage.rescued == []


def test_a_look_that_took_longer_than_a_tenure_starts_again_though_we_lead(stage):
    """As above, but our own renewal was answered before the look was."""
    stage.sightings = [silent()]
    stage.round()
    stage.on_look = lambda: setattr(stage, "now", stage.now + 60.0)
    stage.sightings = [stage.sightings[0]._replace(age=60.0)]
    stage.passes(1.0)
    assert stage.rescued == []
    stage.on_look = lambda: None
    stage.sightings = [stage.sightings[0]._replace(age=61.0)]
    stage.passes(CHANCE * BEAT / 2)
    assert stage.rescued == []


def test_a_round_that_stalled_before_its_look_concludes_nothing(stage):
    """The observer itself was stopped (SIGSTOP, a sleeping laptop) with all the others of its host."""
    stage.sightings = [silent()]
    stage.round()
    stage.sightings = [stage.sightings[0]._replace(age=60.0)]
    stage.leads = False  # nobody leads who has not renewed for so long
    stage.passes(60.0)
    stage.leads = True
    stage.passes(0.1)
    assert stage.rescued == []


# -- where only time tells of the dead: SQLite, MySQL, a pooler


@pytest.fixture
def by_time(stage, monkeypatch):
    monkeypatch.setattr(module, "is_postgresql", lambda: False)
    stage.leads = False
    return stage


def follows(stage, seconds):
    """Let a follower's rounds go by as its loop would have them."""
    for _ in range(int(seconds / (BEAT / 4))):
        stage.passes(BEAT / 4)


def test_a_follower_looks_seldom(by_time):
    follows(by_time, 20 * BEAT)
    assert 8 <= by_time.looks <= 11


def test_whoever_takes_the_lead_has_seen_the_dead_before(by_time):
    """Or each leader that dies in turn gives them their last chance again."""
    dead = silent()
    by_time.sightings = [dead]
    follows(by_time, LEASE * BEAT)
    by_time.sightings = [dead._replace(age=LEASE * BEAT + 0.1)]
    by_time.leads = True
    by_time.passes(0.1)
    assert [lost.id for lost in by_time.rescued] == [dead.id]


def test_a_follower_rescues_nobody(by_time):
    by_time.sightings = [silent(10 * LEASE * BEAT)]
    follows(by_time, 3 * LEASE * BEAT)
    assert by_time.rescued == []


def test_a_follower_that_was_stopped_gives_everybody_a_last_chance(by_time):
    alive = silent()
    by_time.sightings = [alive]
    follows(by_time, 3 * BEAT)
    by_time.now += 60.0
    by_time.sightings = [alive._replace(age=60.0)]
    by_time.leads = True
    by_time.passes(0.1)
    assert by_time.rescued == []
    by_time.passes(CHANCE * BEAT / 2)
    assert by_time.rescued == []


def test_a_followers_look_that_took_too_long_is_forgotten(by_time):
    alive = silent()
    by_time.sightings = [alive]
    by_time.on_look = lambda: setattr(by_time, "now", by_time.now + 20.0)
    by_time.passes(2 * BEAT)
    by_time.on_look = lambda: None
    by_time.sightings = [alive._replace(age=LEASE * BEAT + 1)]
    by_time.leads = True
    by_time.passes(0.1)
    assert by_time.rescued == []
