"""The same key from two transactions; and its holder, which claims and ends move meanwhile."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from celeriac import faults
from celeriac.errors import JobExists
from celeriac.ledger.ids import key_digest
from tests.ledger_helpers import HOUR, a_job, ending
from tests.races.conftest import PATIENCE

SLOTS = [f"slot {number}" for number in range(3)]


def keyed(**fields):
    return a_job(**{"key": "k", "held": key_digest("shop.noop", "k"), "hold": "open", **fields})


@pytest.fixture
def held_up():
    """Stop one thread at a named point: `arrives = held_up(point)`; it goes on after `arrives.go()`."""
    armed = []

    class Arrival:
        def __init__(self, point):
            self.there, self.going = threading.Event(), threading.Event()
            armed.append(self)
            self.arming = faults.armed(point, self)
            self.arming.__enter__()

        def __call__(self):
            self.there.set()
            assert self.going.wait(PATIENCE)

        def waits(self):
            assert self.there.wait(PATIENCE)
            self.arming.__exit__(None, None, None)

        def go(self):
            self.going.set()

    yield Arrival
    for arrival in armed:
        arrival.go()


@pytest.mark.parametrize("conflict", ["existing", "replace", "raise"])
def test_a_key_from_two_transactions_is_the_first_ones(ledger, actor, blocked, conflict):
    job = keyed(args='["first"]')
    first = actor()
    first.begins()
    first.does(ledger.insert_keyed, job)
    second = actor().starts(ledger.insert_keyed, keyed(args='["second"]'), conflict=conflict)
    blocked(1)
    first.commits()
    if conflict == "raise":
        with pytest.raises(JobExists, match=str(job.id)):
            second.result(PATIENCE)
    else:
        outcome = "changed" if conflict == "replace" else "existing"
        assert second.result(PATIENCE) == (job.id, str(job.id), outcome)
    assert ledger.row(job).args == ('["second"]' if conflict == "replace" else '["first"]')
    ledger.balances(inserted=1)


@pytest.mark.parametrize("conflict", ["existing", "replace", "raise"])
def test_a_key_whose_first_transaction_is_rolled_back_is_the_second_ones(ledger, actor, blocked, conflict):
    first = actor()
    first.begins()
    first.does(ledger.insert_keyed, keyed(args='["first"]'))
    job = keyed(args='["second"]')
    second = actor().starts(ledger.insert_keyed, job, conflict=conflict)
    blocked(1)
    first.rolls_back()
    assert second.result(PATIENCE) == (job.id, str(job.id), "made")
    assert ledger.row(job).args == '["second"]'


def test_the_same_id_and_key_from_two_transactions_is_one_job(ledger, actor, blocked):
    job = keyed()
    first = actor()
    first.begins()
    first.does(ledger.insert_keyed, job)
    second = actor().starts(ledger.insert_keyed, job, conflict="raise")
    blocked(1)
    first.commits()
    assert second.result(PATIENCE) == (job.id, str(job.id), "existing")


class TestAHolderThatEndsInThatMoment:
    def test_is_still_the_answer_until_its_end_is_committed(self, ledger, actor):
        job = keyed()
        ledger.insert_keyed(job)
        [claimed] = ledger.claim()
        worker = actor()
        worker.begins()
        worker.does(ledger.finish, ending(claimed))
        assert actor().does(ledger.insert_keyed, keyed()).outcome == "existing"
        worker.commits()
        assert actor().does(ledger.insert_keyed, keyed()).outcome == "made"

    @pytest.mark.parametrize("conflict", ["existing", "replace", "raise"])
    def test_between_two_looks_leaves_the_key_to_the_call(self, ledger, actor, held_up, conflict):
        ledger.insert_keyed(keyed())
        [claimed] = ledger.claim()
        looks = held_up("insert_keyed.before_look")
        job = keyed()
        call = actor().starts(ledger.insert_keyed, job, conflict=conflict)
        looks.waits()
        ledger.finish(ending(claimed))
        looks.go()
        assert call.result(PATIENCE) == (job.id, str(job.id), "made")
        ledger.balances(inserted=2)

    def test_and_somebody_else_takes_the_key(self, ledger, actor, held_up):
        ledger.insert_keyed(keyed())
        [claimed] = ledger.claim()
        looks = held_up("insert_keyed.before_look")
        call = actor().starts(ledger.insert_keyed, keyed())
        looks.waits()
        ledger.finish(ending(claimed))
        quicker = keyed()
        ledger.insert_keyed(quicker)
        looks.go()
        assert call.result(PATIENCE) == (quicker.id, str(quicker.id), "existing")
        ledger.balances(inserted=2)


class TestReplaceAndClaim:
    """The claim has the old content or the new, never half, and no call is answered by what did not happen."""

    def test_a_claim_skips_what_is_being_changed_and_gets_the_new_content(self, ledger, actor):
        job = keyed(args="[1]", queue="q")
        ledger.insert_keyed(job)
        view = actor()
        view.begins()
        assert view.does(ledger.insert_keyed, keyed(args="[2]", queue="r"), conflict="replace").outcome == "changed"
        assert actor().does(ledger.claim) == []
        view.commits()
        assert ledger.claim() == []
        [claimed] = ledger.claim(queue="r")
        assert (claimed.id, claimed.args) == (job.id, "[2]")

    def test_a_change_that_is_rolled_back_never_was(self, ledger, actor):
        job = keyed(args="[1]")
        ledger.insert_keyed(job)
        view = actor()
        view.begins()
        view.does(ledger.insert_keyed, keyed(args="[2]", delay=HOUR), conflict="replace")
        view.rolls_back()
        [claimed] = ledger.claim()
        assert claimed.args == "[1]"

    @pytest.mark.parametrize(("hold", "outcome"), [("open", "existing"), ("pending", "made")])
    def test_a_call_that_stands_in_line_behind_a_claim(self, ledger, actor, blocked, hold, outcome):
        job = keyed(args="[1]", hold=hold)
        ledger.insert_keyed(job)
        worker = actor()
        worker.begins()
        [claimed] = worker.does(ledger.claim)
        new = keyed(args="[2]", hold=hold)
        call = actor().starts(ledger.insert_keyed, new, conflict="replace")
        blocked(1)
        worker.commits()
        stands = job if outcome == "existing" else new
        assert call.result(PATIENCE) == (stands.id, str(stands.id), outcome)
        assert claimed.args == ledger.row(job).args == "[1]"
        ledger.balances(inserted=1 if outcome == "existing" else 2)

    @pytest.mark.parametrize(("hold", "outcome"), [("open", "existing"), ("pending", "made")])
    def test_a_claim_between_the_look_and_the_change(self, ledger, actor, held_up, hold, outcome):
        job = keyed(args="[1]", hold=hold)
        ledger.insert_keyed(job)
        changes = held_up("insert_keyed.before_change")
        call = actor().starts(ledger.insert_keyed, keyed(args="[2]", hold=hold), conflict="replace")
        changes.waits()
        [claimed] = ledger.claim()
        changes.go()
        assert call.result(PATIENCE).outcome == outcome
        assert claimed.args == ledger.row(job).args == "[1]"

    def test_any_number_of_both_at_once_lose_no_content_and_run_none_twice(self, ledger, actor):
        """As a debounce does it: whatever was said last before a claim runs, and nothing said after it is lost."""
        start, said, ran = threading.Barrier(3), threading.Event(), []

        def say():
            start.wait(PATIENCE)
            for number in range(60):
                ledger.insert_keyed(keyed(args=f"[{number}]", hold="pending"), conflict="replace")
            said.set()

        def work():
            start.wait(PATIENCE)
            while not said.is_set() or ledger.jobs.filter(state="ready").exists():
                for job in ledger.claim():
                    ran.append(int(job.args[1:-1]))
                    ledger.finish(ending(job))

        for future in [actor().starts(act) for act in (say, work, work)]:
            future.result(PATIENCE)
        assert max(ran) == 59
        assert max(Counter(ran).values()) == 1


def test_ten_at_once_are_three_where_three_may_be(ledger, actor):
    start = threading.Barrier(10)

    def call():
        start.wait(PATIENCE)
        job = keyed(held=SLOTS[0], hold="until", hold_for=HOUR)
        return ledger.insert_keyed(job, slots=SLOTS)

    answers = [future.result(PATIENCE) for future in [actor().starts(call) for _ in range(10)]]
    assert Counter(answer.outcome for answer in answers) == {"made": 3, "existing": 7}
    made = {answer.id for answer in answers if answer.outcome == "made"}
    assert {answer.id for answer in answers} <= made
    ledger.balances(inserted=3)


@pytest.mark.parametrize("lapsed", [False, True])
def test_a_call_that_loses_a_slot_to_another_takes_the_next(ledger, actor, blocked, lapsed):
    throttled = {"held": SLOTS[0], "hold": "until", "hold_for": HOUR}
    if lapsed:
        for _ in range(2):
            ledger.insert_keyed(keyed(**throttled), slots=SLOTS[:2])
        ledger.jobs.update(held_until="2000-01-01T00:00:00Z")
    first = actor()
    first.begins()
    first.does(ledger.insert_keyed, keyed(**throttled), slots=SLOTS[:2])
    second = actor().starts(ledger.insert_keyed, keyed(**throttled), slots=SLOTS[:2])
    blocked(1)
    first.commits()
    assert second.result(PATIENCE).outcome == "made"
    assert ledger.insert_keyed(keyed(**throttled), slots=SLOTS[:2]).outcome == "existing"


def test_ten_at_once_take_over_what_has_lapsed(ledger, actor):
    """Each locks one holder at most, so none waits for another in a circle."""
    for _ in range(3):
        ledger.insert_keyed(keyed(held=SLOTS[0], hold="until", hold_for=HOUR), slots=SLOTS)
    ledger.jobs.update(held_until="2000-01-01T00:00:00Z")
    start = threading.Barrier(10)

    def call():
        start.wait(PATIENCE)
        return ledger.insert_keyed(keyed(held=SLOTS[0], hold="until", hold_for=HOUR), slots=SLOTS).outcome

    answers = [future.result(PATIENCE) for future in [actor().starts(call) for _ in range(10)]]
    assert Counter(answers) == {"made": 3, "existing": 7}
    ledger.balances(inserted=6)
