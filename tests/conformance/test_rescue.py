"""sightings and rescue: who may be lost, and what becomes of the jobs of one that is; all of it or nothing."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, transaction

from celeriac import events
from celeriac.ledger.rows import Sighting
from celeriac.ledger.states import ENDED
from celeriac.ledger.verbs import Finished
from tests.ledger_helpers import HOUR, a_present, all_back, an_id, back, ending, ids, judged, stale, story


@pytest.fixture
def lost(ledger):
    """A worker with a row, as it was sighted; its jobs are claimed in its name."""
    worker = a_present()
    ledger.renew(worker)
    return ledger.sightings()[worker.id]


def held(ledger, lost, count=1, **fields):
    queue = f"solo-{an_id()}"
    for _ in range(count):
        ledger.given(queue=queue, **fields)
    claimed = ledger.claim(count, queue, worker=lost.id)
    ledger.jobs.filter(queue=queue).update(queue="q")
    return [job._replace(queue="q") for job in claimed]


class TestSightings:
    def test_say_of_each_worker_what_its_row_says(self, ledger):
        worker = a_present(hostname="ů@here", pid=12, heartbeat=1.5)
        ledger.renew(worker)
        sighting = ledger.sightings()[worker.id]
        assert sighting[:4] == (worker.id, "ů@here", 12, 1.5)
        assert sighting.seen_at == ledger.workers.get(id=worker.id).seen_at
        assert (sighting.ended, 0 <= sighting.age < 60) == (False, True)

    @pytest.mark.parametrize("seconds", [HOUR, -HOUR])
    def test_say_how_long_ago_the_last_renewal_was_by_the_databases_clock(self, ledger, lost, seconds):
        ledger.not_seen_for(lost.id, seconds)
        assert ledger.sightings()[lost.id].age == pytest.approx(seconds, abs=60)
        ledger.renew(a_present(lost.id))
        assert ledger.sightings()[lost.id].age == pytest.approx(0, abs=60)

    def test_tell_of_workers_that_only_running_jobs_name(self, ledger, lost):
        ledger.running_many(3)
        [orphaned] = {ledger.row(job).worker for job in ledger.running_many(1)}
        held(ledger, lost)
        assert set(ledger.sightings()) == {lost.id, orphaned}
        assert ledger.sightings()[orphaned] == Sighting(orphaned)

    def test_tell_of_nobody_where_nobody_is(self, ledger):
        ledger.given()
        ledger.at("dead")
        assert ledger.sightings() == {}


class TestRescue:
    def test_gives_jobs_back_as_judged_with_their_stories_and_removes_the_row(self, ledger, lost):
        ready, later = sorted(held(ledger, lost, 2, attempt=1), key=lambda job: job.id)
        returns = [back(ready, suspect=True), back(later, charge=1, loss=1, delay=HOUR)]
        rescued = ledger.rescue(lost, judged(*returns, failures=[story(later, kind="lost")]))
        one, two = ledger.row(ready), ledger.row(later)
        assert (one.state, one.suspect, one.attempt, one.losses, one.worker) == ("ready", True, 1, 0, None)
        assert (two.state, two.suspect, two.attempt, two.losses, two.worker) == ("scheduled", False, 2, 1, None)
        assert [(a.number, a.claim_no, a.kind, a.worker) for a in ledger.attempts(later)] == [(2, 1, "lost", lost.id)]
        assert ledger.attempts(ready) == []
        assert (rescued.queues, rescued.later, set(ids(rescued.held))) == ({"q"}, True, {ready.id, later.id})
        assert not ledger.workers.exists()

    @pytest.mark.parametrize("state", sorted(ENDED))
    def test_ends_jobs_as_judged_with_their_stories_and_counts_down_what_waits(self, ledger, lost, state):
        [job] = held(ledger, lost)
        [child] = ledger.children_of(job.id, queue="c")
        end = ending(job, state, reason="lost", charge=1, loss=1, error="{}")
        rescued = ledger.rescue(lost, judged(endings=[end], failures=[story(job, kind="lost")]))
        row = ledger.row(job)
        assert (row.state, row.reason, row.attempt, row.losses, row.worker) == (state, "lost", 1, 1, None)
        assert [a.kind for a in ledger.attempts(job)] == ["lost"]
        assert (ledger.state(child), rescued.queues, rescued.later) == ("ready", {"c"}, False)

    def test_shows_the_judge_what_the_worker_held_as_it_was_claimed(self, ledger, lost):
        jobs = held(ledger, lost, 3, args='["a"]', attempt=2, expires_in=HOUR)
        ledger.finish(ending(jobs[0]))
        ledger.release(jobs[1])
        shown = []
        ledger.rescue(lost, lambda found: shown.extend(found) or all_back(found))
        assert shown == [jobs[2]]

    def test_leaves_jobs_of_other_workers_and_resting_ones_alone(self, ledger, lost):
        others = [ledger.running(), ledger.given(), ledger.at("scheduled"), ledger.at("dead")]
        before = [ledger.values(job) for job in others]
        held(ledger, lost)
        living = a_present()
        ledger.renew(living)
        ledger.rescue(lost)
        assert [ledger.values(job) for job in others] == before
        assert list(ledger.workers.values_list("id", flat=True)) == [living.id]

    def test_of_a_worker_that_held_nothing_removes_its_row(self, ledger, lost):
        rescued = ledger.rescue(lost)
        assert (rescued.held, rescued.queues, rescued.later) == ([], set(), False)
        assert not ledger.workers.exists()

    def test_does_nothing_when_the_worker_has_renewed_since(self, ledger, lost):
        [job] = held(ledger, lost)
        before = ledger.values(job)
        ledger.renew(a_present(lost.id))
        assert ledger.rescue(lost, lambda _: pytest.fail("it was judged")) is None
        assert (ledger.values(job), ledger.workers.count()) == (before, 1)

    def test_does_nothing_when_somebody_else_has_done_it(self, ledger, lost):
        [job] = held(ledger, lost)
        assert ledger.rescue(lost) is not None
        before = ledger.values(job)
        assert ledger.rescue(lost, lambda _: pytest.fail("it was judged")) is None
        assert ledger.values(job) == before

    def test_is_all_or_nothing(self, ledger, lost):
        jobs = held(ledger, lost, 2)
        before = [ledger.values(job) for job in jobs]
        verdicts = judged(back(jobs[1]), endings=[ending(jobs[0])], failures=[story(jobs[1], kind="x" * 13)])
        broken = lambda found: verdicts(found)._replace(returns=[back(jobs[1], priority=77)])  # noqa: E731
        with pytest.raises(DatabaseError), transaction.atomic(using=ledger.alias):
            ledger.rescue(lost, broken)
        assert [ledger.values(job) for job in jobs] == before
        assert (ledger.attempts(jobs[1]), ledger.workers.count()) == ([], 1)

    def test_a_judge_that_fails_changes_nothing(self, ledger, lost):
        [job] = held(ledger, lost)

        def fails(_):
            raise ValueError("no verdict")

        with pytest.raises(ValueError, match="no verdict"):
            ledger.rescue(lost, fails)
        assert (ledger.state(job), ledger.workers.count()) == ("running", 1)

    def test_is_told_once_with_what_was_done(self, ledger, lost):
        held(ledger, lost)
        heard = []
        subscriber = events.subscribe(lambda name, facts: heard.append((name, facts)))
        try:
            rescued = ledger.rescue(lost)
        finally:
            events.unsubscribe(subscriber)
        assert [facts for name, facts in heard if name == "rescue"] == [{"lost": lost, "rescued": rescued}]

    def test_of_a_thousand_jobs_and_more_is_one_rescue(self, ledger, lost):
        jobs = held(ledger, lost, 1200) if ledger.alias == "default" else held(ledger, lost, 200)
        assert len(ledger.rescue(lost).held) == len(jobs)
        ledger.balances(inserted=len(jobs))
        assert not ledger.jobs.exclude(state="ready").exists()


class TestOrphans:
    def test_jobs_of_a_worker_without_a_row_are_rescued_too(self, ledger):
        jobs = ledger.running_many(2)
        [orphaned] = ledger.sightings().values()
        assert set(ids(ledger.rescue(orphaned).held)) == set(ids(jobs))
        assert {ledger.state(job) for job in jobs} == {"ready"}
        assert ledger.sightings() == {}

    def test_twice_is_once(self, ledger):
        job = ledger.running()
        [orphaned] = ledger.sightings().values()
        ledger.rescue(orphaned)
        before = ledger.values(job)
        ledger.rescue(orphaned)
        assert ledger.values(job) == before

    def test_nothing_is_done_when_the_worker_has_a_row_again(self, ledger):
        """It was taken for lost, went on, and has renewed since it was sighted: it lives."""
        job = ledger.running()
        [orphaned] = ledger.sightings().values()
        ledger.renew(a_present(orphaned.id))
        before = ledger.values(job)
        assert ledger.rescue(orphaned) is None
        assert (ledger.values(job), ledger.workers.count()) == (before, 1)


class TestAZombie:
    def test_that_finishes_after_the_rescue_changes_nothing(self, ledger, lost):
        [job] = held(ledger, lost)
        [child] = ledger.children_of(job.id)
        ledger.rescue(lost)
        before = ledger.values(job), ledger.values(child)
        assert ledger.finish(ending(job, charge=1), failures=[story(job)]) == Finished(0, 1, [])
        assert ledger.release(job) == {}
        assert ledger.reschedule(back(job, charge=1), failures=[story(job)]) == []
        assert (ledger.values(job), ledger.values(child), ledger.attempts(job)) == (*before, [])
        [again] = ledger.claim()
        assert ledger.finish(ending(job)) == Finished(0, 1, [])
        assert (again.claim_no, ledger.finish(ending(again))) == (2, Finished(1, 0, ["q"]))

    def test_that_had_finished_before_keeps_its_end(self, ledger, lost):
        [job] = held(ledger, lost)
        ledger.finish(ending(job, result="1"))
        before = ledger.values(job)
        assert ledger.rescue(lost).held == []
        assert ledger.values(job) == before

    def test_verdicts_on_another_claim_than_the_rows_change_nothing(self, ledger, lost):
        one, two = held(ledger, lost, 2)
        before = ledger.values(one), ledger.values(two)
        verdicts = judged(back(stale(one)), endings=[ending(stale(two))], failures=[story(stale(two))])
        ledger.rescue(lost, verdicts)
        assert (ledger.values(one), ledger.values(two), ledger.attempts(two)) == (*before, [])

    def test_that_renews_finds_its_row_gone_and_may_go_on(self, ledger, lost):
        held(ledger, lost)
        ledger.rescue(lost)
        assert ledger.renew(a_present(lost.id)).made is True
        [again] = ledger.claim(worker=lost.id)
        assert ledger.finish(ending(again)).count == 1
