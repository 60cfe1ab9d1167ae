"""What becomes of ticks: which are jobs, and that each is accounted for once."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import accumulate, chain
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from celeriac.schedules.policies import GRACE, MISFIRE, MOST, MOST_JOBS, Blackout, Planned, Policy, decide, delay_of
from celeriac.schedules.ticks import Clocked, Every, upcoming

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)  # a Monday
SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=n) for n in (1, 60, 3600, 86400))
MINUTELY = Every(MINUTE, NOON)
BERLIN = ZoneInfo("Europe/Berlin")


def fate(policy, *, late, every=MINUTE, skips=()):
    """What the ticks from noon on come to when somebody looks so late: minutes after noon, and why not."""
    decision = decide(Every(every, NOON), policy, NOON, NOON + late, skips)
    return [(int((tick.instant - NOON) / MINUTE), tick.skip, tick.times) for tick in decision.ticks]


class TestMisfire:
    def test_in_time_is_up_to_a_minute_late(self):
        for misfire in MISFIRE:
            assert fate(Policy(misfire=misfire), late=GRACE, every=HOUR) == [(0, "", 1)]

    def test_once_makes_up_for_the_last(self):
        assert fate(Policy(), late=GRACE + SECOND, every=HOUR) == [(0, "", 1)]
        assert fate(Policy(), late=3.5 * HOUR, every=HOUR) == [(120, "misfire", 3), (180, "", 1)]

    def test_once_has_made_up_with_what_is_in_time(self):
        assert fate(Policy(), late=5 * MINUTE + SECOND) == [(4, "misfire", 5), (5, "", 1)]
        assert fate(Policy(), late=5 * MINUTE) == [(3, "misfire", 4), (4, "", 1), (5, "", 1)]

    def test_once_makes_up_for_the_last_that_is_no_blackout(self):
        policy = Policy(blackout=(Blackout(time(14), time(15)),))
        assert fate(policy, late=2.5 * HOUR, every=HOUR) == [(0, "misfire", 1), (60, "", 1), (120, "blackout", 1)]

    def test_once_within_its_window(self):
        assert fate(Policy(window=HOUR), late=2.5 * HOUR, every=HOUR) == [(60, "misfire", 2), (120, "", 1)]
        assert fate(Policy(window=MINUTE), late=2.5 * HOUR, every=HOUR) == [(120, "misfire", 3)]

    def test_all_makes_up_for_each(self):
        assert fate(Policy(misfire="all"), late=2.5 * HOUR, every=HOUR) == [(0, "", 1), (60, "", 1), (120, "", 1)]

    def test_all_within_its_window(self):
        policy = Policy(misfire="all", window=1.5 * HOUR)
        assert fate(policy, late=2.5 * HOUR, every=HOUR) == [(0, "misfire", 1), (60, "", 1), (120, "", 1)]
        assert fate(policy, late=2.5 * HOUR + SECOND, every=HOUR) == [(60, "misfire", 2), (120, "", 1)]

    def test_skip_makes_up_for_none(self):
        assert fate(Policy(misfire="skip"), late=2.5 * HOUR, every=HOUR) == [(120, "misfire", 3)]

    def test_skip_with_a_window_says_itself_what_is_late(self):
        assert fate(Policy(misfire="skip", window=HOUR), late=1.5 * HOUR, every=HOUR) == [
            (0, "misfire", 1),
            (60, "", 1),
        ]
        assert fate(Policy(misfire="skip", window=5 * SECOND), late=6 * SECOND, every=HOUR) == [(0, "misfire", 1)]
        assert fate(Policy(misfire="skip", window=5 * SECOND), late=5 * SECOND, every=HOUR) == [(0, "", 1)]

    def test_a_window_below_a_minute_does_not_make_late_what_is_in_time(self):
        for misfire in ("once", "all"):
            assert fate(Policy(misfire=misfire, window=SECOND), late=30 * SECOND, every=HOUR) == [(0, "", 1)]


class TestLimits:
    def test_jobs_are_made_a_hundred_at_a_time_and_the_rest_comes_next(self):
        now, due, made = NOON + 250 * MINUTE, NOON, []
        while due <= now:
            decision = decide(MINUTELY, Policy(misfire="all"), due, now)
            made.append([tick.instant for tick in decision.ticks])
            due = decision.next
        assert [len(ticks) for ticks in made] == [MOST_JOBS, MOST_JOBS, 51]
        assert list(chain(*made)) == [NOON, *upcoming(MINUTELY, NOON, now)]

    @pytest.mark.parametrize("misfire", ["once", "skip"])
    def test_a_day_of_missed_seconds_is_few_looks_and_no_crowd_of_jobs(self, misfire):
        secondly, now, due, ticks = Every(SECOND, NOON), NOON + DAY, NOON, []
        looks = 0
        while due <= now:
            decision = decide(secondly, Policy(misfire=misfire), due, now)
            ticks += decision.ticks
            due = decision.next
            looks += 1
        assert looks == 86_401 // MOST + 1
        assert sum(tick.times for tick in ticks) == 86_401
        assert [tick.instant for tick in ticks if not tick.skip] == [now - SECOND * n for n in range(60, -1, -1)]
        assert len(ticks) == looks + 61

    def test_once_waits_for_the_last_look_before_it_makes_up(self):
        every, now = Every(SECOND, NOON), NOON + 12_000 * SECOND
        blackout = Blackout(now - 100 * SECOND, now + HOUR)
        first = decide(every, Policy(blackout=(blackout,)), NOON, now)
        assert first.ticks == [Planned(NOON + (MOST - 1) * SECOND, "misfire", MOST)]
        second = decide(every, Policy(blackout=(blackout,)), first.next, now)
        assert [(tick.skip, tick.times) for tick in second.ticks] == [("misfire", 1899), ("", 1), ("blackout", 101)]


class TestSkips:
    def test_what_an_operator_took_out_is_no_job(self):
        asked = [NOON + HOUR, NOON + 7 * HOUR]
        policy = Policy(misfire="all")
        assert fate(policy, late=2 * HOUR, every=HOUR, skips=asked) == [(0, "", 1), (60, "asked", 1), (120, "", 1)]

    def test_it_is_not_made_up_for(self):
        assert fate(Policy(), late=1.5 * HOUR, every=HOUR, skips=[NOON + HOUR]) == [(0, "", 1), (60, "asked", 1)]

    def test_it_may_be_the_only_one(self):
        decision = decide(Clocked(NOON), Policy(), NOON, NOON, [NOON])
        assert decision == ([Planned(NOON, "asked")], None)


def test_nothing_is_decided_before_it_is_due():
    assert decide(MINUTELY, Policy(), NOON, NOON - timedelta.resolution) == ([], NOON)
    assert decide(MINUTELY, Policy(), NOON, NOON) == ([Planned(NOON)], NOON + MINUTE)


times = st.integers(0, 100_000).map(lambda seconds: timedelta(seconds=seconds))
blackouts = st.lists(
    st.builds(Blackout, st.times(), st.times(), st.frozensets(st.integers(0, 6)))
    | st.tuples(times, times).map(lambda two: Blackout(NOON + min(two), NOON + max(two))),
    max_size=2,
)
policies = st.builds(
    Policy,
    misfire=st.sampled_from(MISFIRE),
    window=st.none() | times,
    blackout=blackouts.map(tuple),
    zone=st.sampled_from([ZoneInfo("UTC"), BERLIN]),
)


@settings(deadline=None)
@given(
    policies,
    st.integers(10, 7200).map(lambda seconds: Every(timedelta(seconds=seconds), NOON)),
    st.lists(st.integers(-60, 10_000), min_size=1, max_size=12),
    st.sets(st.integers(0, 20)),
)
def test_whenever_somebody_looks_each_tick_is_accounted_for_once(policy, timing, pauses, skipped):
    ticks, due, now = [], NOON, NOON
    skips = [NOON + number * timing.interval for number in skipped]
    for pause in pauses:  # also with a clock that is set back
        now += timedelta(seconds=pause)
        before = due
        decision = decide(timing, policy, due, now, skips)
        due = decision.next
        assert decision.ticks == sorted(decision.ticks)
        assert all(before <= tick.instant <= now for tick in decision.ticks)
        ticks += decision.ticks
    seen = [NOON, *upcoming(timing, NOON, due - timedelta.resolution)] if due > NOON else []
    # Each row stands for itself and for those before it, back to the row before.
    places = list(accumulate(tick.times for tick in ticks))
    assert [seen[place - 1] for place in places] == [tick.instant for tick in ticks]
    assert (places or [0])[-1] == len(seen)
    jobs = {tick.instant for tick in ticks if not tick.skip}
    assert not any(instant in skips or policy.covers(instant) for instant in jobs)


class TestBlackout:
    def at(self, day, hour, minute=0, zone=BERLIN):
        return datetime(2026, 6, day, hour, minute, tzinfo=zone)

    def test_each_day(self):
        noon = Blackout(time(12), time(13, 30))
        told = [noon.covers(self.at(1, 12) + shift, BERLIN) for shift in (-SECOND, 0 * SECOND, 1.4 * HOUR, 1.5 * HOUR)]
        assert told == [False, True, True, False]

    def test_over_midnight(self):
        night = Blackout(time(22), time(6))
        told = [night.covers(self.at(1, hour), BERLIN) for hour in (0, 5, 6, 21, 22, 23)]
        assert told == [True, True, False, False, True, True]

    def test_over_midnight_from_the_day_on_which_it_begins(self):
        saturday = Blackout(time(22), time(6), frozenset({6}))
        told = [saturday.covers(self.at(*when), BERLIN) for when in ((6, 5), (6, 22), (7, 0), (7, 5), (7, 6), (7, 22))]
        assert told == [False, True, True, True, False, False]

    def test_a_whole_day(self):
        sunday = Blackout(time(), time(), frozenset({0}))
        told = [sunday.covers(self.at(*when), BERLIN) for when in ((6, 23, 59), (7, 0), (7, 23, 59), (8, 0))]
        assert told == [False, True, True, False]

    def test_between_instants_whatever_the_zone(self):
        sale = Blackout(NOON, NOON + DAY)
        told = [sale.covers(NOON + shift, BERLIN) for shift in (-SECOND, 0 * SECOND, DAY - SECOND, DAY)]
        assert told == [False, True, True, False]

    def test_it_is_read_on_the_clock_of_the_policy(self):
        blackout = (Blackout(time(12), time(13)),)
        assert Policy(blackout=blackout).covers(NOON)
        assert not Policy(blackout=blackout, zone=BERLIN).covers(NOON)
        assert Policy(blackout=blackout, zone=BERLIN).covers(NOON - 2 * HOUR)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"misfire": "never"}, "misfire is one of skip, once, all, not 'never'"),
        ({"overlap": "queue"}, "overlap is one of allow, skip, queue_one, cancel_running, not 'queue'"),
        ({"window": -SECOND}, "window is a time from 0 on"),
        ({"jitter": 5}, "jitter is a time from 0 on, not 5"),
        ({"within": "1h"}, "within is a time from 0 on"),
    ],
)
def test_what_is_no_policy(said, message):
    with pytest.raises(ValueError, match=message):
        Policy(**said)


class TestJitter:
    @given(st.text(max_size=20), times, times)
    def test_it_is_the_same_for_all_who_ask_and_below_what_was_said(self, name, shift, jitter):
        delay = delay_of(name, NOON + shift, jitter)
        assert timedelta() <= delay <= jitter
        assert delay == delay_of(name, (NOON + shift).astimezone(BERLIN), jitter)

    def test_schedules_that_are_due_together_spread_evenly(self):
        delays = sorted(delay_of(f"s{number}", NOON, timedelta(seconds=1000)) for number in range(1000))
        gaps = [abs(delay - timedelta(seconds=number)) for number, delay in enumerate(delays)]
        assert max(gaps) < timedelta(seconds=60)

    def test_without_it_none_waits(self):
        assert delay_of("s", NOON, timedelta()) == timedelta()
