"""Operators, workers and callers at the same jobs at once: each job moves once, and the account says so."""

from __future__ import annotations

import pytest

from celeriac.ledger import act, verbs
from celeriac.ledger.act import Step
from celeriac.ledger.ids import key_digest
from celeriac.ledger.rows import Settlement
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import State
from tests.ledger_helpers import BY, a_job, back, ending, ids, story
from tests.races.conftest import PATIENCE

ALL_DEAD = Selection(states=("dead",))
HELD = key_digest("shop.noop", "order-7")


def deaths(ledger, count):
    jobs = ledger.running_many(count)
    ledger.finish(*(ending(job, "dead") for job in jobs))
    return jobs


@pytest.mark.parametrize("first", ["commits", "rolls_back"])
def test_two_operators_replay_the_same_jobs_and_each_is_replayed_once(ledger, actor, blocked, first):
    jobs = deaths(ledger, 50)
    one = actor()
    one.begins()
    assert len(one.does(ledger.replay, *jobs).changed) == 50
    two = actor().starts(ledger.replay, *reversed(jobs))
    blocked(1)
    getattr(one, first)()
    done = two.result(PATIENCE)
    assert (len(done.changed), done.skipped) == ((0, {"state": 50}) if first == "commits" else (50, {}))
    assert set(ledger.jobs.values_list("state", "replays")) == {("ready", 1)}
    assert len(ledger.changes()) == 50


def test_two_actions_over_the_same_selection_share_the_jobs(ledger, actor):
    deaths(ledger, 40)
    actions = [ledger.action("replay", ALL_DEAD) for _ in range(2)]
    done = [actor().starts(act.run, action) for action in actions]
    assert [one.result(PATIENCE) for one in done] == [Step.OVER] * 2
    assert sum(action.changed for action in actions) == 40
    assert set(ledger.jobs.values_list("state", "replays")) == {("ready", 1)}


def test_two_who_move_one_action_do_not_do_the_same_batch(ledger, actor):
    deaths(ledger, 3)
    action = ledger.action("replay", ALL_DEAD)
    one = actor()
    one.begins()
    assert one.does(act.step, ledger_action(action)) == Step.MOVED
    assert act.step(action) == Step.BUSY
    one.rolls_back()
    assert act.run(action) == Step.OVER
    assert (action.changed, len(ledger.changes())) == (3, 3)


def ledger_action(action):
    return type(action).objects.get(pk=action.pk)


@pytest.mark.parametrize("first", ["replay", "discard"])
def test_a_replay_and_a_discard_at_once_the_first_has_it(ledger, actor, blocked, first):
    jobs = deaths(ledger, 5)
    acts = {"replay": ledger.replay, "discard": ledger.discard}
    early = acts.pop(first)
    [late] = acts.values()
    one = actor()
    one.begins()
    one.does(early, *jobs)
    two = actor().starts(late, *jobs)
    blocked(1)
    one.commits()
    done = two.result(PATIENCE)
    if first == "replay":
        assert done.skipped == {"state": 5}
        assert {ledger.state(job) for job in jobs} == {"ready"}
    else:  # what was put away may still be sent back
        assert {before for _, before in done.changed} == {"cancelled"}


def test_a_claim_has_a_replayed_job_once_it_is_committed(ledger, actor):
    [job] = deaths(ledger, 1)
    operator = actor()
    operator.begins()
    operator.does(ledger.replay, job)
    assert ledger.claim() == []
    operator.commits()
    [again] = ledger.claim()
    assert (again.id, again.claim_no) == (job.id, job.claim_no + 1)


@pytest.mark.parametrize("ends", ["commits", "rolls_back"])
def test_a_replay_waits_for_the_end_that_is_being_written(ledger, actor, blocked, ends):
    job = ledger.running()
    worker = actor()
    worker.begins()
    worker.does(ledger.finish, ending(job, "dead"))
    replaying = actor().starts(ledger.replay, job)
    blocked(1)
    getattr(worker, ends)()
    done = replaying.result(PATIENCE)
    assert (len(done.changed), ledger.state(job)) == ((1, "ready") if ends == "commits" else (0, "running"))


def test_an_old_claim_that_comes_back_during_a_replay_changes_nothing(ledger, actor, blocked):
    job = ledger.running()
    ledger.finish(ending(job, "dead"), failures=[story(job)])
    operator = actor()
    operator.begins()
    operator.does(ledger.replay, job)
    zombie = [actor().does(write) for write in (lambda: ledger.finish(ending(job)), lambda: ledger.release(job))]
    operator.commits()
    assert (zombie[0].stale, zombie[1]) == (1, {})
    assert ledger.finish(ending(job)).stale == 1
    assert ledger.reschedule(back(job)) == []
    assert (ledger.state(job), ledger.row(job).replays) == ("ready", 1)


# -- keys


@pytest.mark.parametrize("ends", ["commits", "rolls_back"])
def test_a_key_that_another_job_takes_meanwhile(ledger, actor, blocked, ends):
    job, other = ledger.at(State.DEAD, key="order-7", held=HELD, hold="open"), ledger.at(State.DEAD)
    caller = actor()
    caller.begins()
    caller.does(ledger.given, key="order-7", held=HELD, hold="open")
    replaying = actor().starts(ledger.replay, job, other)
    blocked(1)
    getattr(caller, ends)()
    done = replaying.result(PATIENCE)
    assert done.skipped == ({"key": 1} if ends == "commits" else {})
    assert ledger.state(job) == ("dead" if ends == "commits" else "ready")
    assert ledger.state(other) == "ready"
    assert set(ledger.changes()) == {id_ for id_, _ in done.changed}


@pytest.mark.parametrize("ends", ["commits", "rolls_back"])
def test_a_key_that_a_replay_takes_meanwhile(ledger, actor, blocked, ends):
    job = ledger.at(State.DEAD, key="order-7", held=HELD, hold="open")
    operator = actor()
    operator.begins()
    operator.does(ledger.replay, job)
    asking = actor().starts(ledger.insert, a_job(key="order-7", held=HELD, hold="open"))
    blocked(1)
    getattr(operator, ends)()
    assert asking.result(PATIENCE) == (0 if ends == "commits" else 1)
    assert ledger.jobs.filter(held=HELD).count() == 1


# -- what waits


def a_chord(ledger):
    one, two = ledger.running_many(2)
    [body] = ledger.children_of(one.id, two.id, queue="c")
    ledger.finish(ending(one, "dead"))
    return one, two, body


def test_the_last_parent_ends_while_the_first_is_replayed(ledger, actor, blocked):
    one, two, body = a_chord(ledger)
    operator = actor()
    operator.begins()
    operator.does(ledger.replay, one)
    finishing = actor().starts(ledger.finish, ending(two))
    blocked(1)
    operator.commits()
    assert finishing.result(PATIENCE).freed == []
    [again] = ledger.claim()
    assert ledger.finish(ending(again)).freed == ["c"]
    assert ledger.state(body) == "ready"


def test_the_first_parent_is_replayed_while_the_last_ends(ledger, actor, blocked):
    one, two, body = a_chord(ledger)
    worker = actor()
    worker.begins()
    assert worker.does(ledger.finish, ending(two)).freed == ["c"]
    replaying = actor().starts(ledger.replay, one)
    blocked(1)
    worker.commits()
    assert replaying.result(PATIENCE).changed
    assert (ledger.row(body).state, ledger.row(body).waits_for) == ("ready", 0)


def test_a_step_that_comes_back_twice_at_once_is_waited_for_once(ledger, actor, blocked):
    step, other = ledger.given(), ledger.running()
    [body] = ledger.children_of(step.id, other.id)
    ledger.settle(Settlement(step.id, "dead", "upstream"))
    one = actor()
    one.begins()
    assert one.does(ledger.insert, a_job(id=step.id)) == 1
    two = actor().starts(ledger.insert, a_job(id=step.id))
    blocked(1)
    one.commits()
    assert two.result(PATIENCE) == 0
    assert ledger.row(body).waits_for == 2


# -- and prune


def test_what_is_being_replayed_is_not_pruned(ledger, actor):
    jobs = deaths(ledger, 3)
    ledger.jobs.update(finished_at=ledger.now().replace(year=2020))
    operator = actor()
    operator.begins()
    operator.does(ledger.replay, jobs[0])
    age = ledger.now() - ledger.now().replace(year=2021)
    assert verbs.prune(age=age, dead_age=age).deleted == 2
    operator.commits()
    assert ids(ledger.claim()) == [jobs[0].id]


def test_a_stop_waits_for_the_batch_and_is_the_end(ledger, actor, blocked):
    deaths(ledger, 3)
    action = ledger.action("replay", ALL_DEAD)
    one = actor()
    one.begins()
    one.does(act.step, ledger_action(action))
    stopping = actor().starts(act.stop, action, BY)
    blocked(1)
    one.commits()
    assert stopping.result(PATIENCE)
    assert (action.state, action.changed) == ("stopped", 3)
