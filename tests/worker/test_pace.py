"""How many jobs to claim, and who gets which."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from celeriac.worker.pace import Pace, deal

seconds = st.floats(min_value=1e-6, max_value=1e4)
slots = st.integers(1, 20)


class TestPace:
    def test_knows_nothing_at_first(self):
        pace = Pace(0.05)
        assert pace.expect("any") == pace.mean == Pace.GUESS
        assert pace.capacity(2) == 2 * round(0.05 / Pace.GUESS)

    def test_takes_the_first_measurement_of_a_task_as_it_is(self):
        pace = Pace(0.05)
        pace.observe({"slow": (4, 8.0)})
        assert pace.expect("slow") == 2.0
        assert pace.expect("other") == Pace.GUESS

    @given(st.lists(seconds, min_size=1, max_size=30))
    def test_expects_something_between_what_it_saw(self, runs):
        pace = Pace(0.05)
        for run in runs:
            pace.observe({"task": (1, run)})
        assert min(runs) * (1 - 1e-9) <= pace.expect("task") <= max(runs) * (1 + 1e-9)

    @given(seconds, seconds)
    def test_comes_to_believe_what_it_keeps_seeing(self, before, after):
        pace = Pace(0.05)
        pace.observe({"task": (1, before)})
        for _ in range(100):
            pace.observe({"task": (3, 3 * after)})
        assert pace.expect("task") == pytest.approx(after, rel=0.01)
        assert pace.mean == pytest.approx(after, rel=0.01)

    def test_a_claim_of_many_says_more_than_one_job_and_not_all(self):
        one, many, most = Pace(0.05), Pace(0.05), Pace(0.05)
        one.observe({"task": (1, 0.001)})
        many.observe({"task": (2, 0.002)})
        most.observe({"task": (1000, 1.0)})
        assert Pace.GUESS > one.mean > many.mean > most.mean > 0.001
        again = Pace(0.05)
        for _ in range(2):
            again.observe({"task": (1, 0.001)})
        assert many.mean == pytest.approx(again.mean)

    def test_a_claim_that_ran_nothing_says_nothing(self):
        pace = Pace(0.05)
        pace.observe({"task": (0, 0.0)})
        assert (pace.mean, pace.of_task) == (Pace.GUESS, {})

    @given(st.lists(st.floats(0.0, 1e4), max_size=10), slots)
    def test_never_claims_less_than_one_a_slot_nor_more_than_the_most(self, runs, free):
        pace = Pace(0.05)
        for run in runs:
            pace.observe({"task": (1, run)})
        assert free <= pace.capacity(free) <= free * Pace.MOST

    def test_slow_jobs_are_claimed_one_by_one_and_fast_ones_by_the_hundred(self):
        slow, fast = Pace(0.05), Pace(0.05)
        for _ in range(50):
            slow.observe({"task": (1, 2.0)})
            fast.observe({"task": (100, 100 * 1e-7)})
        assert (slow.capacity(3), fast.capacity(3)) == (3, 3 * Pace.MOST)

    def test_no_free_slot_is_no_claim(self):
        assert Pace(0.05).capacity(0) == 0


class TestDeal:
    @given(st.lists(st.floats(0.0, 1e3), max_size=60), slots)
    def test_deals_every_job_once_and_keeps_the_order_in_each_hand(self, costs, free):
        jobs = list(range(len(costs)))
        hands = deal(jobs, costs, free)
        assert sorted(job for hand in hands for job in hand) == jobs
        assert all(hand == sorted(hand) for hand in hands)

    @given(st.lists(st.floats(0.0, 1e3), max_size=60), slots)
    def test_gives_no_empty_hand_and_no_more_than_there_are_slots(self, costs, free):
        hands = deal(costs, costs, free)
        assert all(hands)
        assert len(hands) <= free

    @given(st.lists(st.floats(0.001, 1e3), min_size=1, max_size=60), slots)
    def test_balances_the_hands_to_within_one_job(self, costs, free):
        loads = [sum(hand) for hand in deal(costs, costs, free)]
        assert len(loads) == min(free, len(costs))
        assert max(loads) - min(loads) <= max(costs) * (1 + 1e-9)

    def test_the_most_urgent_start_first(self):
        assert deal("abcdef", [1.0] * 6, 3) == [["a", "d"], ["b", "e"], ["c", "f"]]

    def test_a_long_job_has_a_hand_of_its_own(self):
        assert deal("Labc", [9.0, 1.0, 1.0, 1.0], 2) == [["L"], ["a", "b", "c"]]

    def test_a_cost_for_every_job_is_asked_for(self):
        with pytest.raises(ValueError, match="zip"):
            deal("ab", [1.0], 2)

    def test_nothing_is_dealt_to_nobody(self):
        assert deal([], [], 3) == []
