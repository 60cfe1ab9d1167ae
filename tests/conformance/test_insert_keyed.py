"""insert_keyed: one job a key, for as long as it is held; and what a call means that meets the holder."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, connections, transaction

from celeriac.errors import JobExists
from celeriac.ledger.ids import key_digest
from celeriac.ledger.rows import Settlement
from celeriac.ledger.states import ENDED
from tests.ledger_helpers import HOUR, a_job, an_id, back, ending

KEY = key_digest("shop.noop", "k")
SLOTS = [key_digest("shop.noop", f"k#{number}") for number in range(3)]


def keyed(**fields):
    return a_job(**{"key": "k", "held": KEY, "hold": "open", **fields})


def outcomes(ledger, *jobs, **how):
    return [ledger.insert_keyed(job, **how).outcome for job in jobs]


def test_the_first_call_is_a_job_like_any_other(ledger):
    job = keyed(
        priority=7, args='["a"]', kwargs='{"b": 1}', headers='{"c": 2}', attempt=3, lane="a", reason="exclusive"
    )
    assert ledger.insert_keyed(job) == (job.id, str(job.id), "made")
    row = ledger.row(job)
    assert (row.task, row.queue, row.priority, row.attempt) == ("shop.noop", "q", 7, 3)
    assert (row.args, row.kwargs, row.headers) == ('["a"]', '{"b": 1}', '{"c": 2}')
    assert (row.state, row.reason, row.lane, row.turn) == ("waiting", "exclusive", "a", None)
    assert (row.key, row.held, row.hold, row.held_until) == ("k", KEY, "open", None)


def test_it_is_due_when_it_says(ledger):
    later = keyed(delay=HOUR, expires_in=2 * HOUR)
    ledger.insert_keyed(later)
    row = ledger.row(later)
    assert row.state == "scheduled"
    assert (row.run_at - ledger.now()).total_seconds() == pytest.approx(HOUR, abs=60)
    assert (row.expires_at - ledger.now()).total_seconds() == pytest.approx(2 * HOUR, abs=60)


def test_a_second_call_is_the_first_ones_job(ledger):
    first = keyed(args='["first"]')
    ledger.insert_keyed(first)
    before = ledger.values(first)
    assert ledger.insert_keyed(keyed(args='["second"]')) == (first.id, str(first.id), "existing")
    assert ledger.values(first) == before
    ledger.balances(inserted=1)


def test_another_key_is_another_job(ledger):
    assert outcomes(ledger, keyed(), keyed(held=key_digest("shop.other", "k"))) == ["made", "made"]


def test_the_answer_names_the_task_id_that_a_caller_made_up(ledger):
    first = keyed(headers='{"id":"invoice-7","parent_id":"x"}')
    assert ledger.insert_keyed(first).task_id == "invoice-7"
    assert ledger.insert_keyed(keyed()) == (first.id, "invoice-7", "existing")


def test_it_is_rolled_back_with_its_transaction(ledger):
    with transaction.atomic(using=ledger.alias):
        ledger.insert_keyed(keyed())
        transaction.set_rollback(True, using=ledger.alias)
    assert outcomes(ledger, keyed()) == ["made"]


@pytest.mark.parametrize("wrong", [{"priority": 10}, {"waits_for": -1}])
def test_what_a_check_refuses_is_an_error_and_no_silence(ledger, wrong):
    with pytest.raises(DatabaseError), transaction.atomic(using=ledger.alias):
        ledger.insert_keyed(keyed(**wrong))
    ledger.balances(inserted=0)


class TestHowLongAKeyIsHeld:
    @pytest.mark.parametrize("end", sorted(ENDED))
    def test_open_is_until_its_end_whichever(self, ledger, end):
        ledger.insert_keyed(keyed())
        [job] = ledger.claim()
        assert outcomes(ledger, keyed()) == ["existing"]
        ledger.reschedule(back(job))
        [job] = ledger.claim()
        assert outcomes(ledger, keyed()) == ["existing"]
        ledger.finish(ending(job, end))
        assert outcomes(ledger, keyed()) == ["made"]

    @pytest.mark.parametrize("how", ["cancel", "settle"])
    def test_a_job_that_never_ran_lets_go_too(self, ledger, how):
        job = keyed()
        ledger.insert_keyed(job)
        if how == "cancel":
            ledger.cancel(job)
        else:
            ledger.settle(Settlement(job.id, "dead"))
        assert outcomes(ledger, keyed()) == ["made"]

    def test_pending_is_until_it_is_claimed(self, ledger):
        ledger.insert_keyed(keyed(hold="pending"))
        assert outcomes(ledger, keyed(hold="pending")) == ["existing"]
        [job] = ledger.claim()
        assert outcomes(ledger, keyed(hold="pending")) == ["made"]
        ledger.reschedule(back(job))
        assert outcomes(ledger, keyed(hold="pending")) == ["existing"]

    def test_until_is_for_so_long_even_past_its_end(self, ledger):
        job = keyed(hold="until", hold_for=HOUR)
        ledger.insert_keyed(job)
        ledger.finish(*(ending(claimed) for claimed in ledger.claim()))
        assert ledger.insert_keyed(keyed(hold="until", hold_for=HOUR)) == (job.id, str(job.id), "existing")
        its_time_is_over(ledger, job)
        later = keyed(hold="until", hold_for=HOUR)
        assert outcomes(ledger, later, keyed()) == ["made", "existing"]
        assert (ledger.row(job).held, ledger.row(later).held) == (None, KEY)
        assert (ledger.row(later).held_until - ledger.now()).total_seconds() == pytest.approx(HOUR, abs=60)

    def test_a_job_whose_time_is_over_runs_on(self, ledger):
        job = keyed(hold="until", hold_for=HOUR)
        ledger.insert_keyed(job)
        its_time_is_over(ledger, job)
        ledger.insert_keyed(keyed())
        assert len(ledger.claim()) == 2

    def test_for_ever_is_for_ever(self, ledger):
        job = keyed(hold="until")
        ledger.insert_keyed(job)
        ledger.finish(*(ending(claimed) for claimed in ledger.claim()))
        assert ledger.row(job).held_until is None
        assert outcomes(ledger, keyed()) == ["existing"]


def its_time_is_over(ledger, *jobs):
    ledger.jobs.filter(id__in=[job.id for job in jobs]).update(held_until=ledger.now() - timedelta(seconds=1))


class TestAnIdThatIsThereAlready:
    @pytest.mark.parametrize("conflict", ["existing", "raise", "replace"])
    def test_is_asked_once(self, ledger, conflict):
        job = keyed(args='["first"]', headers='{"id":"mine"}')
        ledger.insert_keyed(job)
        again = job._replace(args='["again"]')
        assert ledger.insert_keyed(again, conflict=conflict) == (job.id, "mine", "existing")
        assert ledger.row(job).args == '["first"]'

    def test_is_itself_even_where_another_holds_the_key(self, ledger):
        job = ledger.given()
        ledger.insert_keyed(keyed())
        assert ledger.insert_keyed(keyed(id=job.id), conflict="raise") == (job.id, str(job.id), "existing")
        assert ledger.row(job).held is None

    def test_of_a_replaced_job_comes_back(self, ledger):
        job = ledger.running()
        ledger.reschedule(back(job, reason="replaced"))
        assert outcomes(ledger, keyed(id=job.id, args='["last step"]')) == ["made"]
        assert (ledger.state(job), ledger.row(job).args) == ("ready", '["last step"]')


class TestRaise:
    def test_says_who_holds_the_key(self, ledger):
        first = keyed(headers='{"id":"invoice-7"}')
        ledger.insert_keyed(first, conflict="raise")
        with pytest.raises(JobExists, match="key 'k': job invoice-7 holds it") as caught:
            ledger.insert_keyed(keyed(), conflict="raise")
        assert (caught.value.task, caught.value.key, caught.value.task_id) == ("shop.noop", "k", "invoice-7")
        ledger.balances(inserted=1)


@pytest.mark.parametrize("conflict", ["replace", "move"])
class TestReplace:
    def test_a_holder_that_rests_takes_the_new_content_under_its_own_id(self, ledger, conflict):
        first = keyed(headers='{"id":"mine","shadow":"old"}', expires_in=HOUR, priority=1)
        ledger.insert_keyed(first)
        new = keyed(args="[2]", kwargs='{"b":2}', headers='{"id":"other","root_id":"r"}', queue="r", priority=9)
        assert ledger.insert_keyed(new, conflict=conflict) == (first.id, "mine", "changed")
        row = ledger.row(first)
        assert (row.args, row.kwargs, row.headers) == ("[2]", '{"b":2}', '{"id":"mine","root_id":"r"}')
        assert (row.queue, row.priority, row.expires_at, row.state) == ("r", 9, None, "ready")
        assert (row.held, row.hold, row.claim_no) == (KEY, "open", 0)
        ledger.balances(inserted=1)

    def test_an_id_of_the_new_call_is_no_id_of_the_holder(self, ledger, conflict):
        first = keyed()
        ledger.insert_keyed(first)
        assert ledger.insert_keyed(keyed(headers='{"id":"other"}'), conflict=conflict).task_id == str(first.id)
        assert ledger.row(first).headers == "{}"

    def test_it_is_moved_to_the_new_time(self, ledger, conflict):
        first = keyed(delay=HOUR)
        ledger.insert_keyed(first)
        assert outcomes(ledger, keyed(delay=3 * HOUR), conflict=conflict) == ["changed"]
        assert (ledger.row(first).run_at - ledger.now()).total_seconds() == pytest.approx(3 * HOUR, abs=60)
        assert ledger.state(first) == "scheduled"
        assert outcomes(ledger, keyed(), conflict=conflict) == ["changed"]
        assert ledger.state(first) == "ready"

    @pytest.mark.parametrize("how", [{}, {"delay": HOUR}, {"reason": "replaced"}])
    def test_one_that_has_begun_goes_on_with_its_own_content(self, ledger, conflict, how):
        """What it did already, it did with that."""
        ledger.insert_keyed(keyed())
        [job] = ledger.claim()
        ledger.reschedule(back(job, charge=1, **how))
        before = ledger.values(job)
        assert outcomes(ledger, keyed(args="[2]"), conflict=conflict) == ["existing"]
        assert ledger.values(job) == before

    def test_what_waits_for_something_else_waits_on(self, ledger, conflict):
        child, parent = keyed(), a_job()
        ledger.insert_waiting(child, [parent.id])
        assert outcomes(ledger, keyed(args="[2]"), conflict=conflict) == ["changed"]
        assert (ledger.state(child), ledger.row(child).waits_for) == ("waiting", 1)
        parked = keyed(held="other", reason="unregistered")
        ledger.insert_keyed(parked)
        assert outcomes(ledger, keyed(held="other"), conflict=conflict) == ["changed"]
        assert (ledger.state(parked), ledger.row(parked).reason) == ("waiting", "unregistered")

    @pytest.mark.parametrize("state", ["running", *sorted(ENDED)])
    def test_one_that_runs_or_has_ended_is_as_it_is(self, ledger, conflict, state):
        job = ledger.at(state)
        ledger.jobs.filter(id=job.id).update(held=KEY, hold="until")
        before = ledger.values(job)
        assert ledger.insert_keyed(keyed(args="[2]"), conflict=conflict) == (job.id, str(job.id), "existing")
        assert ledger.values(job) == before


class TestReplaceInALane:
    def lined(self, **fields):
        return keyed(**{"lane": "a", "reason": "exclusive", **fields})

    def place(self, ledger, job):
        row = ledger.row(job)
        return row.state, row.reason, row.lane, row.turn

    @pytest.mark.parametrize(
        ("new", "place"),
        [
            ({}, ("ready", "", "a", "a")),
            ({"delay": HOUR}, ("waiting", "exclusive", "a", None)),
            ({"lane": "b"}, ("waiting", "exclusive", "b", None)),
            ({"lane": "", "reason": ""}, ("ready", "", "", None)),
            ({"lane": "", "reason": "", "delay": HOUR}, ("scheduled", "", "", None)),
        ],
    )
    def test_a_turn_is_kept_in_the_same_lane_if_it_may_run_now(self, ledger, new, place):
        job = self.lined()
        ledger.insert_keyed(job)
        assert ledger.admit() == {"q": 1}
        assert outcomes(ledger, self.lined(**new), conflict="replace") == ["changed"]
        assert self.place(ledger, job) == place

    @pytest.mark.parametrize(
        ("new", "place"),
        [
            ({}, ("waiting", "exclusive", "a", None)),
            ({"lane": "b"}, ("waiting", "exclusive", "b", None)),
            ({"lane": "", "reason": ""}, ("ready", "", "", None)),
            ({"lane": "", "reason": "", "delay": HOUR}, ("scheduled", "", "", None)),
        ],
    )
    def test_who_waits_for_a_turn_waits_in_the_new_lane(self, ledger, new, place):
        job = self.lined()
        ledger.insert_keyed(job)
        assert outcomes(ledger, self.lined(**new), conflict="replace") == ["changed"]
        assert self.place(ledger, job) == place

    def test_a_job_of_no_lane_gets_in_line(self, ledger):
        job = keyed()
        ledger.insert_keyed(job)
        assert outcomes(ledger, self.lined(), conflict="replace") == ["changed"]
        assert self.place(ledger, job) == ("waiting", "exclusive", "a", None)


class TestSlots:
    """At most so many in a window: the slots are tried in order."""

    def throttled(self, **fields):
        return keyed(**{"held": SLOTS[0], "hold": "until", "hold_for": HOUR, **fields})

    def test_so_many_are_made_and_then_the_most_recent_is_the_answer(self, ledger):
        jobs = [self.throttled() for _ in range(3)]
        assert outcomes(ledger, *jobs, slots=SLOTS) == ["made"] * 3
        assert [ledger.row(job).held for job in jobs] == SLOTS
        assert ledger.insert_keyed(self.throttled(), slots=SLOTS) == (jobs[2].id, str(jobs[2].id), "existing")
        with pytest.raises(JobExists, match=str(jobs[2].id)):
            ledger.insert_keyed(self.throttled(), slots=SLOTS, conflict="raise")
        ledger.balances(inserted=3)

    def test_a_slot_whose_time_is_over_is_taken(self, ledger):
        jobs = [self.throttled() for _ in range(3)]
        outcomes(ledger, *jobs, slots=SLOTS)
        its_time_is_over(ledger, jobs[1], jobs[2])
        more = [self.throttled() for _ in range(3)]
        assert outcomes(ledger, *more, slots=SLOTS) == ["made", "made", "existing"]
        assert [ledger.row(job).held for job in (*jobs, *more[:2])] == [SLOTS[0], None, None, SLOTS[1], SLOTS[2]]

    def test_an_id_that_is_there_takes_no_slot(self, ledger):
        job = self.throttled()
        assert outcomes(ledger, job, job, slots=SLOTS) == ["made", "existing"]
        assert ledger.jobs.filter(held__isnull=False).count() == 1


def test_a_common_call_is_one_or_two_statements(ledger, django_assert_max_num_queries):
    if connections[ledger.alias].vendor != "postgresql":
        pytest.skip("the statements of PostgreSQL")
    expired = keyed(hold="until", hold_for=HOUR)
    for statements, outcome in ((1, "made"), (2, "existing")):
        with django_assert_max_num_queries(statements):
            assert outcomes(ledger, expired) == ["made"] if outcome == "made" else outcomes(ledger, keyed())
    its_time_is_over(ledger, expired)
    with django_assert_max_num_queries(1):
        assert outcomes(ledger, keyed(id=an_id())) == ["made"]
    with django_assert_max_num_queries(3):
        assert outcomes(ledger, keyed(), conflict="replace") == ["changed"]
