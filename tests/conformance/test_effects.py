"""What a job's effects left behind: begun before, done after, fenced by the claim."""

from __future__ import annotations

import pytest

from celeriac.errors import ClaimLost
from celeriac.ledger import effects
from celeriac.ledger.effects import Owner
from celeriac.ledger.models import Effect
from tests.ledger_helpers import ending


@pytest.fixture
def job(ledger):
    return ledger.running()


def of(job, claim_no=None):
    return Owner(job.id, job.claim_no if claim_no is None else claim_no)


def rows(ledger):
    return list(Effect.objects.using(ledger.alias).order_by("name").values_list("name", "claim_no", "done", "result"))


def again(ledger, job):
    """The job's next run."""
    ledger.release(job)
    [job] = ledger.claim()
    return job


def test_begun_then_done_is_found_done(ledger, job):
    assert effects.begin(of(job), "charge", using=ledger.alias) is None
    assert rows(ledger) == [("charge", 1, False, None)]
    effects.done(of(job), "charge", '"ch_1"', using=ledger.alias)
    assert rows(ledger) == [("charge", 1, True, '"ch_1"')]
    found = effects.begin(of(again(ledger, job)), "charge", using=ledger.alias)
    assert (found.done, found.result) == (True, '"ch_1"')
    assert rows(ledger) == [("charge", 1, True, '"ch_1"')]


@pytest.mark.parametrize("next_run", [False, True])
def test_begun_and_not_done_is_in_doubt(ledger, job, next_run):
    effects.begin(of(job), "charge", using=ledger.alias)
    job = again(ledger, job) if next_run else job
    found = effects.begin(of(job), "charge", using=ledger.alias)
    assert (found.done, found.result) == (False, None)
    assert -60 < (found.begun_at - ledger.now()).total_seconds() <= 0


def test_two_names_and_two_jobs_are_apart(ledger, job):
    other = ledger.running()
    for owner, name in ((of(job), "a"), (of(job), "b"), (of(other), "a")):
        assert effects.begin(owner, name, using=ledger.alias) is None
    assert len(rows(ledger)) == 3


def test_undone_is_begun_anew(ledger, job):
    effects.begin(of(job), "charge", using=ledger.alias)
    assert effects.undo(of(job), "charge", using=ledger.alias)
    assert rows(ledger) == []
    assert effects.begin(of(job), "charge", using=ledger.alias) is None


def test_what_is_done_is_not_undone(ledger, job):
    effects.begin(of(job), "charge", using=ledger.alias)
    effects.done(of(job), "charge", "1", using=ledger.alias)
    assert not effects.undo(of(job), "charge", using=ledger.alias)
    assert rows(ledger) == [("charge", 1, True, "1")]


def test_writing_the_same_end_twice_is_writing_it_once(ledger, job):
    effects.begin(of(job), "charge", using=ledger.alias)
    for _ in range(2):
        effects.done(of(job), "charge", "1", using=ledger.alias)
    assert rows(ledger) == [("charge", 1, True, "1")]


class TestInDoubt:
    def test_may_be_recorded_by_the_next_run(self, ledger, job):
        effects.begin(of(job), "charge", using=ledger.alias)
        job = again(ledger, job)
        effects.done(of(job), "charge", "7", whoever=True, using=ledger.alias)
        assert rows(ledger) == [("charge", 2, True, "7")]

    def test_may_be_begun_again_by_the_next_run(self, ledger, job):
        effects.begin(of(job), "charge", using=ledger.alias)
        job = again(ledger, job)
        effects.begin_again(of(job), "charge", using=ledger.alias)
        effects.done(of(job), "charge", "7", using=ledger.alias)
        assert rows(ledger) == [("charge", 2, True, "7")]

    def test_is_begun_again_only_while_it_is_in_doubt(self, ledger, job):
        effects.begin(of(job), "charge", using=ledger.alias)
        effects.done(of(job), "charge", "7", using=ledger.alias)
        with pytest.raises(ClaimLost):
            effects.begin_again(of(job), "charge", using=ledger.alias)


class TestAStaleClaim:
    """Of a run whose job was taken from it, with or without another run of it by now."""

    @pytest.fixture(params=["another runs it", "it is ready", "it has ended"])
    def lost(self, ledger, job, request):
        effects.begin(of(job), "charge", using=ledger.alias)
        if request.param == "another runs it":
            again(ledger, job)
        elif request.param == "it is ready":
            ledger.release(job)
        else:
            ledger.finish(ending(job))
        return job

    def test_begins_nothing(self, ledger, lost):
        with pytest.raises(ClaimLost, match=f"Job {lost.id} is no longer this run's .claim 1."):
            effects.begin(of(lost), "mail", using=ledger.alias)

    @pytest.mark.parametrize("act", [effects.done, effects.begin_again])
    def test_leaves_what_it_began_in_doubt(self, ledger, lost, act):
        with pytest.raises(ClaimLost):
            act(of(lost), "charge", *(["1"] if act is effects.done else []), using=ledger.alias)
        assert not effects.undo(of(lost), "charge", using=ledger.alias)
        assert rows(ledger) == [("charge", 1, False, None)]

    def test_writes_nothing_over_what_the_next_run_took_over(self, ledger, job):
        effects.begin(of(job), "charge", using=ledger.alias)
        effects.begin_again(of(again(ledger, job)), "charge", using=ledger.alias)
        with pytest.raises(ClaimLost):
            effects.done(of(job), "charge", '"late"', using=ledger.alias)
        assert rows(ledger) == [("charge", 2, False, None)]
