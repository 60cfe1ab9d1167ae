"""The lost are told from the living, whatever clocks, sessions and the observer itself do meanwhile."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate, cycle, islice
from uuid import uuid4

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from celeriac.ledger.rows import Sighting
from celeriac.upkeep.census import CHANCE, CLOSEST, ENDED, LEASE, MISSED, RETURNED, Census

BEAT = 2.0
HOUR = 3600.0
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
LONG = 60 * BEAT
simulated = settings(deadline=None)  # two minutes an example
SLACK = 0.02  # seconds: what rest() adds, and float arithmetic


@dataclass
class Clock:
    """The database's clock: true time, and what it was stepped by."""

    steps: list[tuple[float, float]] = field(default_factory=list)

    def at(self, true: float) -> float:
        return true + sum(by for when, by in self.steps if when <= true)


@dataclass
class Life:
    """A worker: when it renews; when it dies; when its sessions are away, as (from, to)."""

    renewals: list[float]
    dies: float = float("inf")
    gaps: list[tuple[float, float]] = field(default_factory=list)
    heartbeat: float = BEAT
    id: object = field(default_factory=uuid4)

    def sighted(self, true: float, clock: Clock) -> Sighting | None:
        made = [when for when in self.renewals if when < self.dies]
        count = bisect_right(made, true)
        if not count:
            return None
        seen = clock.at(made[count - 1])
        ended = true >= self.dies or any(start <= true < end for start, end in self.gaps)
        age = clock.at(true) - seen
        return Sighting(self.id, "w", 1, self.heartbeat, EPOCH + timedelta(seconds=seen), age, ended)


def losses(lives, clock, looks, *, outages=(), begin=0.0, end=LONG):
    """Observe as the rescuer does; return {worker: when it was first taken for lost}. A census forgets in an outage."""
    census, found = Census(BEAT), {}
    now, steady_since = begin, begin - LONG
    delays = iter(looks)
    while now < end:
        for start, back in outages:
            if start <= now < back:
                census.forget()
                now, steady_since = back, back
        sightings = [seen for life in lives if (seen := life.sighted(now, clock))]
        for lost in census.observe(sightings, now, now - steady_since):
            found.setdefault(lost.id, now)
        now += census.rest(sightings) + next(delays, 0.0)
    return found


def beats(rhythm, start=0.0):
    """When somebody renews who rests this long, in heartbeats, again and again."""
    count = int(LONG / BEAT / min(rhythm)) + 1
    return list(accumulate(islice(cycle(BEAT * part for part in rhythm), count), initial=start))


#: A heartbeat with jitter: never more than 10 % late, and never twice at the same moment.
rhythms = st.lists(st.floats(0.3, 1.1), min_size=1, max_size=12)
#: Looks that come late, since the observer is busy; up to a stall of many heartbeats.
looks = st.lists(st.one_of(st.just(0.0), st.floats(0.0, 1.0), st.floats(0.0, 20 * BEAT)), max_size=40)
steps = st.lists(st.tuples(st.floats(0.0, LONG), st.sampled_from([-HOUR, HOUR])), max_size=4).map(Clock)
times = st.floats(4 * BEAT, LONG / 2)
steady_clock = Clock()


class TestTheLiving:
    @simulated
    @given(st.lists(rhythms, min_size=1, max_size=3), steps, looks)
    def test_with_a_session_that_holds_are_never_lost_whatever_clocks_and_looks_do(self, several, clock, late):
        assert losses([Life(beats(rhythm)) for rhythm in several], clock, late) == {}

    @simulated
    @given(rhythms, looks, st.lists(st.tuples(st.floats(0.0, LONG), st.floats(0.0, BEAT)), max_size=10))
    def test_that_renew_in_time_are_never_lost_whatever_their_sessions_do(self, rhythm, late, cuts):
        gaps = [(start, start + length) for start, length in cuts]
        assert losses([Life(beats(rhythm), gaps=gaps)], steady_clock, late) == {}

    @simulated
    @given(rhythms, steps, looks, st.lists(st.tuples(st.floats(0.0, LONG), st.floats(0.0, 0.1 * BEAT)), max_size=1))
    @example([1.0], Clock([(8.2, HOUR)]), [1.5], [(8.1, 0.2)])
    def test_that_renew_in_time_are_never_lost_though_session_and_clock_break_at_once(self, rhythm, clock, late, cuts):
        """One that takes longer than ENDED to replace a cut session, while the clock is stepped too, may be lost."""
        gaps = [(start, start + length) for start, length in cuts]
        assert losses([Life(beats(rhythm), gaps=gaps)], clock, late) == {}

    @simulated
    @given(rhythms, st.floats(1.0, 10.0))
    def test_are_judged_by_their_own_heartbeat(self, rhythm, times_slower):
        slow = Life([when * times_slower for when in beats(rhythm)], heartbeat=BEAT * times_slower)
        assert losses([slow], steady_clock, []) == {}

    @simulated
    @given(times, st.floats(MISSED * BEAT, 20 * BEAT), st.floats(0.0, 1.0), steps)
    def test_are_given_time_to_come_back_after_an_outage(self, start, length, back_after, clock):
        """Everybody's session was cut, every row is old, and nobody is dead."""
        back = start + length
        returned = back + back_after * BEAT
        before = [when for when in beats([1.0]) if when < start]
        life = Life([*before, *beats([1.0], returned)], gaps=[(start, returned)])
        assert losses([life], clock, [], outages=[(start, back)]) == {}

    @simulated
    @given(rhythms, looks, times, steps)
    def test_are_not_lost_to_a_new_observer(self, rhythm, late, begin, clock):
        assert losses([Life(beats(rhythm))], clock, late, begin=begin) == {}


class TestTheDead:
    @simulated
    @given(rhythms, times, st.lists(st.floats(0.0, 0.5), max_size=100))
    def test_with_an_ended_session_are_lost_soon_after_the_missed_renewal(self, rhythm, dies, late):
        life = Life(beats(rhythm), dies=dies)
        last = max(when for when in beats(rhythm) if when < dies)
        found = losses([life], steady_clock, late)
        assert dies <= found[life.id] <= last + MISSED * BEAT + max([0.0, *late]) + BEAT + SLACK

    @simulated
    @given(rhythms, times)
    def test_with_an_ended_session_are_lost_at_the_missed_renewal_by_an_observer_in_time(self, rhythm, dies):
        life = Life(beats(rhythm), dies=dies)
        last = max(when for when in beats(rhythm) if when < dies)
        seen_gone = dies + BEAT / 2 + ENDED * BEAT  # the next look, and the time that a living one would get
        assert losses([life], steady_clock, [])[life.id] <= max(last + MISSED * BEAT, seen_gone) + SLACK

    @simulated
    @given(rhythms, times, steps, st.booleans())
    def test_are_lost_after_the_lease_at_the_latest_whatever_clocks_do(self, rhythm, dies, clock, told):
        life = (Life if told else Silent)(beats(rhythm), dies=dies)
        last = max(when for when in beats(rhythm) if when < dies)
        found = losses([life], clock, [])
        assert found[life.id] <= last + (LEASE + CHANCE) * BEAT + 2 * BEAT

    @simulated
    @given(st.floats(0.0, 100 * HOUR), st.floats(0.0, 3.0))
    def test_that_were_dead_before_anybody_looked_get_a_last_chance_and_no_more(self, ago, begin):
        life = Silent([begin - LEASE * BEAT - 1.0 - ago])
        found = losses([life], steady_clock, [], begin=begin)
        assert begin + CHANCE * BEAT < found[life.id] <= begin + CHANCE * BEAT + BEAT + SLACK

    @simulated
    @given(st.floats(0.0, 100.0))
    def test_that_left_nothing_but_jobs_are_lost_after_the_lease(self, begin):
        census, orphan = Census(BEAT), Sighting(uuid4())
        assert census.observe([orphan], begin, LONG) == []
        assert census.observe([orphan], begin + LEASE * BEAT - 0.1, LONG) == []
        assert census.observe([orphan], begin + LEASE * BEAT + 0.1, LONG) == [orphan]


class Silent(Life):
    """A worker whose session says nothing: its host is gone, or its database has no advisory locks."""

    def sighted(self, true, clock):
        sighting = super().sighted(true, clock)
        return sighting and sighting._replace(ended=False)


class TestAfterAnOutage:
    @given(st.floats(0.0, RETURNED * BEAT), st.floats(0.0, 100 * HOUR), st.booleans(), st.booleans())
    def test_nobody_is_lost_in_the_first_interval(self, steady, age, ended, orphaned):
        census = Census(BEAT)
        census.observe([sighting(age=0.0)], 0.0, LONG)
        census.forget()
        look = sighting(age=0.0)._replace(seen_at=None) if orphaned else sighting(age=age, ended=ended)
        assert census.observe([look], 1000.0, steady) == []

    def test_an_ended_session_is_believed_again_once_ours_have_held(self):
        census, look = Census(BEAT), sighting(age=MISSED * BEAT + 0.1, ended=True)
        assert census.observe([look], 0.0, RETURNED * BEAT) == []
        assert census.observe([look], ENDED * BEAT - 0.1, RETURNED * BEAT + 0.2) == []
        assert census.observe([look], ENDED * BEAT, RETURNED * BEAT + 0.2) == [look]


def sighting(id_=None, *, age=0.0, ended=False, heartbeat=BEAT):
    return Sighting(id_ or uuid4(), "w", 1, heartbeat, EPOCH - timedelta(seconds=age), age, ended)


class TestMemory:
    def test_a_renewal_starts_the_wait_again(self):
        census, look = Census(BEAT), sighting()
        census.observe([look], 0.0, LONG)
        assert census.observe([look._replace(seen_at=EPOCH + timedelta(seconds=1))], LEASE * BEAT + 0.1, LONG) == []

    def test_who_was_away_is_known_no_longer(self):
        census, look = Census(BEAT), sighting()
        census.observe([look], 0.0, LONG)
        census.observe([], 1.0, LONG)
        assert census.observe([look], LEASE * BEAT + 0.1, LONG) == []

    def test_a_row_set_back_in_time_is_a_renewal_too(self):
        """The clock was set back: what counts is that the row changed."""
        census, look = Census(BEAT), sighting()
        census.observe([look], 0.0, LONG)
        earlier = look._replace(seen_at=EPOCH - timedelta(hours=1), age=HOUR)
        assert census.observe([earlier], LEASE * BEAT + 0.1, LONG) == []

    def test_who_is_lost_and_not_rescued_stays_lost(self):
        census, look = Census(BEAT), sighting()
        census.observe([look], 0.0, LONG)
        assert [census.observe([look], LEASE * BEAT + n, LONG) for n in (1, 2)] == [[look], [look]]


class TestRest:
    ages = st.floats(-2 * HOUR, 2 * HOUR)

    @given(st.lists(st.tuples(ages, st.floats(0.01, 100.0)), max_size=5), st.floats(0.1, 60.0))
    def test_is_never_longer_than_a_heartbeat_nor_a_hot_loop(self, seen, heartbeat):
        rest = Census(heartbeat).rest([sighting(age=age, heartbeat=beat) for age, beat in seen])
        assert CLOSEST * heartbeat <= rest <= heartbeat

    def test_of_an_observer_of_nobody_is_half_a_heartbeat(self):
        assert Census(BEAT).rest([]) == BEAT / 2

    @given(st.floats(0.0, MISSED * BEAT), st.floats(0.0, ENDED * BEAT))
    def test_ends_just_when_one_whose_session_is_gone_is_lost(self, age, gone):
        census, look = Census(BEAT), sighting(age=age, ended=True)
        census.observe([look], 0.0, LONG)
        census.observe([look], gone, LONG)
        lost_in = max(MISSED * BEAT - age, ENDED * BEAT - gone)
        assert census.rest([look]) == pytest.approx(min(BEAT / 2, (lost_in if lost_in > 0 else CLOSEST * BEAT) + 0.01))

    @given(st.floats(0.0, (MISSED - CLOSEST) * BEAT - 0.02))
    def test_ends_just_when_the_first_may_have_missed_a_renewal(self, age):
        rest = Census(BEAT).rest([sighting(age=age), sighting(age=0.0)])
        assert rest == pytest.approx(min(BEAT / 2, MISSED * BEAT - age + 0.01))
