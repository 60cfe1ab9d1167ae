"""Who is charged when a process dies, and when a whole worker does: decided without writing anything."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import pytest
from billiard.exceptions import TimeLimitExceeded
from celery.exceptions import WorkerLostError
from hypothesis import given

from celeriac.ledger.rows import Sighting
from celeriac.outcomes import Kind
from celeriac.worker.losses import judge_blamed, judge_orphans, line, loss_of
from tests.ledger_helpers import an_id, ids
from tests.worker.claims import a_claimed

MOST = 3  # the default of MAX_LOSSES
LOST = Sighting(an_id(), "w@here", 4711, 2.0, None, 12.34, ended=True)
ERROR = WorkerLostError("it was killed")

jobs = st.builds(
    a_claimed,
    losses=st.integers(0, MOST - 1),
    claim_no=st.integers(1, 9),
    suspect=st.booleans(),
    since=st.sampled_from([0.0, 1.0]),
    priority=st.integers(0, 1),
)
many = st.lists(jobs, max_size=8)


def all_ids(judged):
    return ids(judged.returns) + ids(judged.endings)


class TestBlamed:
    @given(many, st.sampled_from([Kind.LOST, Kind.ORPHANED, Kind.TIMEOUT, Kind.TERMINATED]))
    def test_each_job_has_one_verdict_that_names_its_claim(self, some, kind):
        judged = judge_blamed(some, kind, ERROR)
        assert sorted(all_ids(judged)) == sorted(ids(some))
        claims = {job.id: job.claim_no for job in some}
        assert all(claims[verdict.id] == verdict.claim_no for part in judged for verdict in part)

    @given(many, st.sampled_from([Kind.LOST, Kind.ORPHANED, Kind.TIMEOUT, Kind.TERMINATED]))
    def test_who_is_charged_has_a_story_and_who_is_not_has_none(self, some, kind):
        judged = judge_blamed(some, kind, ERROR)
        charged = [verdict.id for verdict in judged.returns + judged.endings if verdict.charge]
        assert sorted(ids(judged.failures)) == sorted(charged)

    @pytest.mark.parametrize("losses", range(MOST + 2))
    def test_a_loss_is_counted_and_after_so_many_it_is_the_end(self, losses):
        job = a_claimed(losses=losses)
        judged = judge_blamed([job], Kind.LOST, ERROR)
        [verdict] = judged.returns + judged.endings
        assert (verdict.charge, verdict.loss) == (1, 1)
        assert bool(judged.endings) is (losses + 1 >= MOST)

    @pytest.mark.parametrize("most", [1, 2, 7])
    def test_how_many_is_a_setting(self, settings, most):
        settings.CELERIAC = {**settings.CELERIAC, "MAX_LOSSES": most}
        ended = [bool(judge_blamed([a_claimed(losses=n)], Kind.LOST, ERROR).endings) for n in range(most)]
        assert ended == [False] * (most - 1) + [True]

    def test_an_end_keeps_why_in_words_and_as_an_error_that_can_be_raised_again(self):
        job = a_claimed(losses=MOST - 1)
        judged = judge_blamed([job], Kind.LOST, ERROR, "Process 12.\nThe last it logged:\nů")
        [end], [told] = judged.endings, judged.failures
        assert (end.state, end.reason) == ("dead", "lost")
        assert json.loads(end.error)["exc_type"] == "WorkerLostError"
        assert (told.kind, told.message) == ("lost", "it was killed")
        assert told.traceback == "WorkerLostError: it was killed\nProcess 12.\nThe last it logged:\nů"

    def test_a_time_limit_is_the_end_and_no_loss(self):
        [end] = judge_blamed([a_claimed()], Kind.TIMEOUT, TimeLimitExceeded(3)).endings
        assert (end.state, end.reason, end.charge, end.loss) == ("dead", "timeout", 1, 0)

    def test_a_termination_cancels(self):
        [end] = judge_blamed([a_claimed()], Kind.TERMINATED, ERROR).endings
        assert (end.state, end.reason, end.loss) == ("cancelled", "terminated", 0)

    @pytest.mark.parametrize("suspect", [False, True])
    def test_a_suspect_that_runs_again_stays_one(self, suspect):
        [back] = judge_blamed([a_claimed(suspect=suspect)], Kind.LOST, ERROR).returns
        assert back.suspect is suspect

    def test_nobody_blamed_is_nothing_judged(self):
        assert judge_blamed([], Kind.LOST, ERROR) == ([], [], [])


class TestOrphans:
    @given(many)
    def test_each_job_has_one_verdict(self, held):
        assert sorted(all_ids(judge_orphans(LOST, held))) == sorted(ids(held))

    @given(many)
    def test_the_first_suspect_in_line_is_charged_and_nobody_else(self, held):
        judged = judge_orphans(LOST, held)
        charged = [verdict.id for verdict in judged.returns + judged.endings if verdict.charge or verdict.loss]
        suspects = sorted((job for job in held if job.suspect), key=line)
        assert charged == ids(suspects[:1])
        assert ids(judged.failures) == charged

    @given(many)
    def test_whoever_runs_again_is_a_suspect_and_waits_for_nothing_unless_charged(self, held):
        judged = judge_orphans(LOST, held)
        assert all(back.suspect for back in judged.returns)
        assert all(back.delay == 0.0 for back in judged.returns if not back.charge)

    @given(many, st.randoms())
    def test_the_order_in_which_they_are_found_decides_nothing(self, held, random):
        shuffled = held.copy()
        random.shuffle(shuffled)
        before, after = judge_orphans(LOST, held), judge_orphans(LOST, shuffled)
        assert [sorted(part, key=lambda verdict: verdict.id) for part in before] == [
            sorted(part, key=lambda verdict: verdict.id) for part in after
        ]

    def test_a_pill_among_neighbours_is_dead_after_as_many_deaths_and_they_pay_nothing(self):
        """The first death makes suspects of all; each further one is charged to the one that ran."""
        pill, *others = (a_claimed(since=n) for n in range(4))
        judged = judge_orphans(LOST, [pill, *others])
        deaths = 1
        while not judged.endings:
            [back] = [back for back in judged.returns if back.id == pill.id]
            pill = pill._replace(suspect=True, losses=pill.losses + back.loss, claim_no=pill.claim_no + 1)
            others = [job._replace(suspect=True) for job in others]
            judged = judge_orphans(LOST, [*others, pill])
            assert all(not verdict.charge for verdict in judged.returns if verdict.id != pill.id)
            deaths += 1
        assert (ids(judged.endings), deaths) == ([pill.id], MOST + 1)

    def test_the_most_urgent_then_the_oldest_is_first_in_line(self):
        late, early, urgent = a_claimed(since=2.0), a_claimed(since=1.0), a_claimed(since=3.0, priority=5)
        assert sorted([late, early, urgent], key=line) == [urgent, early, late]

    @pytest.mark.parametrize(("ended", "says"), [(True, ", its session has ended."), (False, "12.3 s.")])
    def test_the_loss_says_who_and_since_when(self, ended, says):
        text = str(loss_of(LOST._replace(ended=ended)))
        assert text.startswith("Worker w@here (pid 4711) was lost: not seen for 12.3 s")
        assert text.endswith(says)

    def test_the_loss_of_one_without_a_row_names_its_id(self):
        assert str(LOST.id) in str(loss_of(Sighting(LOST.id)))
