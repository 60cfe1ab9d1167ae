"""replay and discard: what has ended goes back as if asked for now, or is put away; and it is written who did it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from celeriac.ledger import bell, verbs
from celeriac.ledger.audit import Change
from celeriac.ledger.ids import key_digest
from celeriac.ledger.rows import Edit, How, Settlement
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import ENDED, OPEN, State
from tests.ledger_helpers import HOUR, a_job, an_id, back, ending, ids, story

ANEW = {
    **dict.fromkeys(["attempt", "losses", "waits_for"], 0),
    **dict.fromkeys(["cancel", "exception", "fingerprint", "reason"], ""),
    **dict.fromkeys(["suspect", "announced"], False),
    **dict.fromkeys(["expires_at", "started_at", "finished_at", "failing_since", "worker", "turn"]),
    **dict.fromkeys(["result", "error", "children", "progress"]),
}


def a_death(ledger, **fields):
    job = ledger.running(expires_in=HOUR, **fields)
    ledger.reschedule(back(job, charge=1, loss=1, suspect=True), failures=[story(job)])
    [job] = ledger.claim(1, job.queue)
    end = ending(job, "dead", reason="failed", exception="E", fingerprint="f", error='"e"', children="[]", charge=1)
    ledger.finish(end, failures=[story(job)])
    ledger.jobs.filter(id=job.id).update(announced=True)
    return job


def test_a_dead_job_starts_anew(ledger):
    job = a_death(ledger)
    before = ledger.values(job)
    done = ledger.replay(job)
    assert (done.changed, done.skipped, done.rings) == ([(job.id, "dead")], {}, ["q"])
    after = ledger.values(job)
    assert abs((after["run_at"] - ledger.now()).total_seconds()) < 60
    assert after == before | ANEW | {"state": "ready", "replays": 1, "run_at": after["run_at"]}


def test_the_attempts_of_before_stay_and_those_after_are_another_line(ledger):
    job = a_death(ledger)
    ledger.replay(job)
    [again] = ledger.claim()
    assert again.attempt == 0
    assert again.claim_no == job.claim_no + 1
    ledger.finish(ending(again, "dead", charge=1), failures=[story(again)])
    assert [(a.number, a.replay) for a in ledger.attempts(job)] == [(1, 0), (2, 0), (1, 1)]


def test_an_old_claim_is_refused_after_a_replay(ledger):
    job = ledger.running()
    ledger.finish(ending(job, "dead"))
    ledger.replay(job)
    before = ledger.values(job)
    assert ledger.finish(ending(job), failures=[story(job)]).stale == 1
    assert ledger.reschedule(back(job)) == []
    assert ledger.release(job) == {}
    [again] = ledger.claim()
    assert ledger.finish(ending(job)).stale == 1
    assert ledger.state(job) == "running"
    assert before["claim_no"] == job.claim_no == again.claim_no - 1


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("state", sorted(State))
def test_which_states_it_takes(ledger, state, force):
    job = ledger.at(state)
    before = ledger.values(job)
    done = ledger.replay(job, force=force)
    if state in {"dead", "cancelled", *(["succeeded"] if force else [])}:
        assert done.changed == [(job.id, state)]
        assert ledger.state(job) == "ready"
    else:
        assert (done.changed, done.skipped) == ([], {"state": 1})
        assert ledger.values(job) == before
        assert ledger.changes() == {}


def test_what_never_ran_comes_back_with_the_step_before_it(ledger):
    step = ledger.at(State.DEAD, reason="upstream")
    assert ledger.replay(step).skipped == {"upstream": 1}
    assert ledger.insert(a_job(id=step.id)) == 1
    assert ledger.state(step) == "ready"


def test_nothing_that_is_not_there(ledger):
    done = ledger.replay(an_id())
    assert (done.changed, done.skipped) == ([], {})


def test_a_rate_spreads_them_the_longest_dead_first(ledger):
    jobs = [ledger.at(State.DEAD) for _ in range(4)]
    for n, job in enumerate(jobs):
        ledger.jobs.filter(id=job.id).update(finished_at=ledger.now() - timedelta(minutes=n))
    assert ledger.replay(*jobs, every=10.0).rings == ["q", bell.SCHEDULED]
    rows = [ledger.row(job) for job in reversed(jobs)]
    assert [row.state for row in rows] == ["ready", "scheduled", "scheduled", "scheduled"]
    assert [(row.run_at - rows[0].run_at).total_seconds() for row in rows] == pytest.approx([0, 10, 20, 30])


def test_a_job_of_a_lane_waits_for_its_turn(ledger):
    job = ledger.at(State.DEAD, lane="customer 7")
    assert ledger.replay(job).rings == [bell.SCHEDULED]
    assert (ledger.row(job).state, ledger.row(job).reason) == ("waiting", "exclusive")


# -- keys


def keyed(ledger, hold="open", **fields):
    return ledger.at(State.DEAD, key="order-7", held=key_digest("shop.noop", "order-7"), hold=hold, **fields)


@pytest.mark.parametrize("hold", ["open", "pending"])
def test_it_holds_its_key_again(ledger, hold):
    job = keyed(ledger, hold)
    assert ledger.row(job).held is None
    ledger.replay(job)
    assert ledger.row(job).held == key_digest("shop.noop", "order-7")
    assert ledger.insert(a_job(key="order-7", held=key_digest("shop.noop", "order-7"), hold=hold)) == 0


def test_a_key_that_is_held_until_a_time_is_left_as_it_is(ledger):
    job = keyed(ledger, "until", hold_for=HOUR)
    held = ledger.row(job).held
    ledger.replay(job)
    assert ledger.row(job).held == held == key_digest("shop.noop", "order-7")


def test_whose_key_another_holds_is_skipped(ledger):
    job, other = keyed(ledger), ledger.at(State.DEAD)
    holder = ledger.given(key="order-7", held=key_digest("shop.noop", "order-7"), hold="open")
    for chosen in ([job, other], [job, holder]):
        assert ledger.replay(*chosen).skipped["key"] == 1
    assert (ledger.state(job), ledger.state(other)) == ("dead", "ready")


def test_of_several_with_one_key_the_longest_dead_has_it(ledger):
    first, second = keyed(ledger), keyed(ledger)
    ledger.jobs.filter(id=first.id).update(finished_at=ledger.now() - timedelta(minutes=1))
    done = ledger.replay(second, first)
    assert (done.changed, done.skipped) == ([(first.id, "dead")], {"key": 1})


# -- what waits for it


def test_what_still_waits_for_others_waits_for_it_again(ledger):
    one, two = ledger.running_many(2)
    [both] = ledger.children_of(one.id, two.id)
    ledger.finish(ending(one, "dead"))
    ledger.replay(one)
    assert ledger.finish(ending(two)).freed == []
    [again] = ledger.claim()
    assert ledger.finish(ending(again)).freed == ["q"]
    assert ledger.state(both) == "ready"


def test_what_went_on_without_it_is_left_alone(ledger):
    one = ledger.running()
    [child] = ledger.children_of(one.id, queue="c")
    assert ledger.finish(ending(one, "dead")).freed == ["c"]
    before = ledger.values(child)
    ledger.replay(one)
    [again] = ledger.claim()
    assert ledger.finish(ending(again)).freed == []
    assert ledger.values(child) == before


def test_a_step_that_comes_back_is_waited_for_again(ledger):
    last, other = ledger.at(State.READY), ledger.running()
    [both] = ledger.children_of(last.id, other.id)
    ledger.settle(Settlement(last.id, "dead", "upstream"))
    ledger.insert(a_job(id=last.id))
    assert ledger.finish(ending(other)).freed == []
    assert ledger.row(both).waits_for == 1


# -- other arguments


def test_it_runs_with_other_arguments(ledger):
    job = ledger.at(State.DEAD, args="[1]", kwargs='{"b":2}')
    action = ledger.action("replay", Selection.of(job.id))
    diff = json.dumps({"a": [1, 3]})
    verbs.replay(action, [job.id], How(edit=Edit("[3]", None, diff)), using=ledger.alias)
    row = ledger.row(job)
    assert (row.args, row.kwargs) == ("[3]", '{"b":2}')
    assert Change.objects.using(ledger.alias).get().diff == diff


# -- the account


def test_each_change_is_written_with_what_was_before(ledger):
    dead, cancelled, ready = (ledger.at(state) for state in ("dead", "cancelled", "ready"))
    ledger.replay(dead, cancelled, ready)
    assert ledger.changes() == {dead.id: "dead", cancelled.id: "cancelled"}


def test_an_action_takes_no_job_that_died_after_it_was_asked_for(ledger):
    job = ledger.running()
    actions = [ledger.action(verb, Selection.of(job.id)) for verb in ("replay", "discard")]
    ledger.finish(ending(job, "dead"))
    assert verbs.replay(actions[0], [job.id], using=ledger.alias).skipped == {"state": 1}
    assert verbs.discard(actions[1], [job.id], using=ledger.alias).skipped == {"state": 1}
    assert ledger.state(job) == "dead"


def test_an_action_takes_a_job_once_whatever_the_clocks(ledger):
    job = ledger.at(State.DEAD)
    action = ledger.action("replay", Selection.of(job.id))
    assert verbs.replay(action, [job.id], using=ledger.alias).changed
    [again] = ledger.claim()
    ledger.finish(ending(again, "dead", ago=HOUR))
    assert verbs.replay(action, [job.id], using=ledger.alias).skipped == {"state": 1}
    assert ledger.replay(job).changed == [(job.id, "dead")]
    assert ledger.row(job).replays == 2


def test_what_is_discarded_keeps_its_story(ledger):
    job = a_death(ledger)
    before = ledger.values(job)
    assert ledger.discard(job).changed == [(job.id, "dead")]
    assert ledger.values(job) == before | {"state": "cancelled", "reason": "discarded"}
    assert len(ledger.attempts(job)) == 2
    assert ledger.changes() == {job.id: "dead"}


@pytest.mark.parametrize("state", sorted({*OPEN, *ENDED} - {"dead"}))
def test_only_the_dead_are_discarded(ledger, state):
    job = ledger.at(state)
    before = ledger.values(job)
    assert ledger.discard(job).skipped == {"state": 1}
    assert ledger.values(job) == before


def test_what_was_discarded_can_be_replayed(ledger):
    job = ledger.at(State.DEAD)
    ledger.discard(job)
    assert ledger.replay(job).changed == [(job.id, "cancelled")]


def test_many_at_once(ledger):
    jobs = ledger.running_many(300)
    ledger.finish(*(ending(job, "dead") for job in jobs))
    assert len(ledger.replay(*jobs[:200]).changed) == 200
    assert len(ledger.discard(*jobs).changed) == 100
    assert len(ids(ledger.claim())) == 200
    ledger.balances(inserted=300)


def test_a_message_that_nobody_could_read_is_no_call_without_arguments(ledger):
    headers = '{"id": "x", "raw": "AAAA"}'
    ledger.settle(Settlement(an_id(), "dead", "undecodable", task="t", queue="q", headers=headers))
    [job] = ledger.jobs.all()
    done = ledger.replay(job)
    assert (done.changed, done.skipped) == ([], {"unread": 1})
    done = ledger.replay(job, edit=Edit("[7]"))
    assert done.changed == [(job.id, "dead")]
    assert ledger.values(job)["args"] == "[7]"
