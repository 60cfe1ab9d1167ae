"""At most one worker believes that it leads, whoever stalls, dies or hears its answers late; and somebody soon does."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import combinations, count
from uuid import UUID, uuid4

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from celeriac.ledger.rows import Renewal
from celeriac.upkeep.census import MISSED
from celeriac.upkeep.leader import Leadership

BEAT = 2.0
END = 40 * BEAT
TENURE = MISSED * BEAT

simulated = settings(deadline=None)  # a whole life an example


class Lease:
    """The row: who holds it may move it on, and so may who names the number it stands at."""

    def __init__(self) -> None:
        self.holder: UUID | None = None
        self.number = 0

    def bid(self, me: UUID, stale: int | None) -> Renewal:
        if self.holder in (None, me) or self.number == stale:
            self.holder, self.number = me, self.number + 1
        return Renewal(False, self.holder, self.number)


@dataclass
class Worker:
    """Renews on its own steady clock. Each plan: (way there, way back, stall after it), in heartbeats."""

    plans: list[tuple[float, float, float]]
    starts: float = 0.0
    dies: float = END
    skew: float = 0.0  # its steady clock's zero
    usual: tuple[float, float, float] = (0.001, 0.001, 0.0)
    me: UUID = field(default_factory=uuid4)
    believed: list[tuple[float, float]] = field(default_factory=list)  # in true time

    def __post_init__(self) -> None:
        self.leadership = Leadership(self.me, BEAT)

    def life(self, lease):
        """Yield the true time of what it does next; look at the lease when resumed."""
        now, plans = self.starts, iter(self.plans)
        while now < self.dies:
            there, back, stall = (part * BEAT for part in next(plans, self.usual))
            stale = self.leadership.stale(now + self.skew)
            yield now + there
            renewal = lease.bid(self.me, stale)
            asked, now = now, now + there + back
            yield now
            if now >= self.dies:
                return
            self.leadership.told(renewal, asked + self.skew, now + self.skew)
            self.believe(now)
            rest = self.leadership.rest(now + self.skew, BEAT - (now - asked))
            now += max(0.0, rest) + stall

    def believe(self, now: float) -> None:
        """Note until when it would say yes if asked, from now on."""
        until = self.leadership._until - self.skew
        if self.leadership.leads(now + self.skew):
            assert not self.leadership.leads(until + self.skew + 1e-6)
            self.believed.append((now, min(until, self.dies)))


def run(workers):
    """Let all live at once, each step at its time."""
    lease, order = Lease(), count()
    line = []
    for worker in workers:
        heapq.heappush(line, (worker.starts, next(order), worker.life(lease)))
    while line:
        _, _, life = heapq.heappop(line)
        if (when := next(life, None)) is not None:
            heapq.heappush(line, (when, next(order), life))
    return lease


latencies = st.one_of(st.floats(0.0, 0.05), st.floats(0.0, 4.0))
stalls = st.one_of(st.just(0.0), st.just(0.0), st.floats(0.0, 6.0))
plans = st.lists(st.tuples(latencies, latencies, stalls), max_size=15)
workers = st.builds(Worker, plans, st.floats(0.0, 10.0), st.floats(10.0, END), st.floats(0.0, 1e6))


@simulated
@given(st.lists(workers, min_size=2, max_size=4))
def test_no_two_believe_at_the_same_time_that_they_lead(some):
    run(some)
    for one, other in combinations(some, 2):
        for start, end in one.believed:
            for begin, stop in other.believed:
                assert max(start, begin) >= min(end, stop) - 1e-6


@simulated
@given(st.lists(workers, min_size=1, max_size=4))
def test_whoever_believes_held_the_lease_when_it_last_asked(some):
    lease = run(some)
    assert lease.number >= sum(len(one.believed) for one in some)


brisk = st.tuples(st.floats(0.0, 0.04), st.floats(0.0, 0.04), st.just(0.0))


@simulated
@given(
    st.floats(3.0, 20.0),
    st.lists(st.builds(Worker, st.lists(brisk, max_size=30), st.floats(0.01, 4.0)), min_size=1, max_size=3),
)
def test_a_dead_leader_is_replaced_within_two_and_a_half_heartbeats(dies, others):
    leader = Worker([], dies=dies * BEAT)
    run([leader, *others])
    taken = min(start for other in others for start, _ in other.believed)
    assert dies * BEAT <= taken + BEAT  # it had not renewed any more
    assert taken <= max(dies * BEAT, *(other.starts for other in others)) + 2.5 * BEAT


@simulated
@given(st.lists(brisk, max_size=30))
def test_a_leader_that_renews_in_time_leads_without_a_break(calm):
    leader, other = Worker(calm), Worker([], starts=0.5)
    run([leader, other])
    assert other.believed == []
    for (_, until), (again, _) in zip(leader.believed, leader.believed[1:], strict=False):
        assert again < until


class TestByItself:
    me, other = uuid4(), uuid4()

    @pytest.fixture
    def leadership(self):
        return Leadership(self.me, BEAT)

    def test_who_has_asked_nobody_leads_nothing_and_takes_nothing(self, leadership):
        assert not leadership.leads(0.0)
        assert leadership.stale(1e9) is None

    def test_leads_from_the_question_on_and_no_longer_than_a_tenure(self, leadership):
        leadership.told(Renewal(True, self.me, 1), 10.0, 11.0)
        assert leadership.leads(11.0)
        assert leadership.leads(10.0 + TENURE - 0.01)
        assert not leadership.leads(10.0 + TENURE)

    def test_an_answer_that_came_after_the_tenure_is_no_lead(self, leadership):
        leadership.told(Renewal(True, self.me, 1), 10.0, 10.0 + TENURE)
        assert not leadership.leads(10.0 + TENURE)

    def test_leads_no_more_as_soon_as_it_hears_of_another(self, leadership):
        leadership.told(Renewal(True, self.me, 1), 10.0, 10.0)
        leadership.told(Renewal(False, self.other, 2), 10.5, 10.5)
        assert not leadership.leads(10.5)

    def test_a_number_is_stale_a_tenure_after_it_was_heard_first(self, leadership):
        for now in (10.0, 11.0):
            leadership.told(Renewal(False, self.other, 7), now - 0.5, now)
        assert leadership.stale(10.0 + TENURE - 0.01) is None
        assert leadership.stale(10.0 + TENURE) == 7

    @pytest.mark.parametrize(("now", "rest"), [(10.0, BEAT), (11.0, TENURE - 1.0), (10.0 + TENURE, 0.01)])
    def test_rests_a_heartbeat_or_until_the_lease_may_be_free(self, leadership, now, rest):
        leadership.told(Renewal(False, self.other, 7), 9.9, 10.0)
        assert leadership.rest(now, BEAT) == pytest.approx(rest)

    @pytest.mark.parametrize(
        ("unseen", "rest"),
        [
            (0.0, BEAT),
            (0.75 * BEAT, 0.55 * BEAT),
            (1.3 * BEAT, 0.125 * BEAT),
            (5.9 * BEAT, 0.125 * BEAT),
            (6.0 * BEAT, BEAT),
        ],
    )
    def test_asks_sooner_where_the_leader_may_be_late_with_somebody_dead(self, leadership, unseen, rest):
        leadership.told(Renewal(False, self.other, 7, unseen=unseen), 10.0, 10.0)
        assert leadership.rest(10.0, BEAT) == pytest.approx(rest)
        leadership.told(Renewal(False, self.other, 8), 12.0, 12.0)
        assert leadership.rest(12.0, BEAT) == BEAT

    def test_but_not_where_it_leads_itself(self, leadership):
        leadership.told(Renewal(False, self.me, 7, unseen=9 * BEAT), 10.0, 10.0)
        assert leadership.rest(10.0, BEAT) == BEAT
