"""An action on many jobs: counted first, done in batches, gone on with after a kill, stopped by a canary."""

from __future__ import annotations

import json

import pytest
from django.db import connections

from celeriac import faults
from celeriac.ledger import act, line
from celeriac.ledger.act import Step
from celeriac.ledger.audit import Action
from celeriac.ledger.models import Attempt
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import State
from tests.ledger_helpers import BY, HOUR, a_job, an_id, back, ending, story

ALL_DEAD = Selection(states=("dead",))

#: Jobs of a batch here: what is asked is how one follows the other.
BATCH = 40


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(act, "BATCH", BATCH)


def deaths(ledger, count, **fields):
    jobs = ledger.running_many(count, **fields)
    ledger.finish(*(ending(job, "dead", reason="failed", exception="E") for job in jobs))
    return jobs


def steps(ledger, action):
    done = []
    while not done or done[-1] == Step.MOVED:
        done.append(act.step(action, using=ledger.alias))
    return done


def account(action):
    return action.state, action.matched, action.changed, action.skipped


def test_it_is_counted_and_written_down_before_anything_is_done(ledger):
    deaths(ledger, 3)
    action = ledger.action("replay", ALL_DEAD, rate=5)
    assert account(action) == ("open", 3, 0, 0)
    assert (action.actor, action.reason, action.origin) == BY
    assert ledger.jobs.filter(state="dead").count() == 3


def test_batch_after_batch_to_its_end(ledger):
    deaths(ledger, 2 * BATCH + 1)
    other = ledger.given()
    action = ledger.action("replay", ALL_DEAD)
    assert steps(ledger, action) == [Step.MOVED] * 3 + [Step.OVER]
    assert account(action) == ("done", 2 * BATCH + 1, 2 * BATCH + 1, 0)
    assert action.ended_at is not None
    assert len(ledger.changes(action)) == 2 * BATCH + 1
    assert other.id not in ledger.changes()
    assert act.step(action, using=ledger.alias) == Step.OVER


@pytest.mark.parametrize("verb", ["replay", "discard", "cancel"])
def test_by_ids_each_is_changed_or_skipped(ledger, verb):
    jobs = [ledger.at(state) for state in State] + deaths(ledger, 2) + [ledger.given(), ledger.given()]
    action = ledger.action(verb, Selection.of(*(job.id for job in jobs), an_id()))
    assert act.run(action, using=ledger.alias) == Step.OVER
    assert action.changed + action.skipped == action.matched == len(jobs)
    assert f"{action.skipped} skipped: not in a state to {verb}" in action.note
    assert len(ledger.changes(action)) == action.changed


@pytest.mark.parametrize("point", ["act.before_commit", "act.between_batches", "replay.before_statement"])
def test_after_a_kill_another_goes_on_where_it_was(ledger, point):
    jobs = deaths(ledger, BATCH + 10)
    action = ledger.action("replay", ALL_DEAD)
    died = []

    def die():
        if not died:
            died.append(point)
            raise KeyboardInterrupt

    with faults.armed(point, die), pytest.raises(KeyboardInterrupt):
        act.run(action, using=ledger.alias)
    again = Action.objects.using(ledger.alias).get(pk=action.pk)
    assert again.changed == len(ledger.changes()) == ledger.jobs.filter(state="ready").count()
    assert act.run(again, using=ledger.alias) == Step.OVER
    assert account(again) == ("done", len(jobs), len(jobs), 0)
    assert set(ledger.jobs.values_list("replays", flat=True)) == {1}


def test_a_job_that_dies_again_is_not_replayed_again_by_the_same_action(ledger):
    deaths(ledger, 2)
    action = ledger.action("replay", ALL_DEAD)
    act.step(action, using=ledger.alias)
    ledger.finish(*(ending(job, "dead") for job in ledger.claim()))
    assert act.run(action, using=ledger.alias) == Step.OVER
    assert account(action) == ("done", 2, 2, 0)


def test_what_is_skipped_is_said_and_not_met_again(ledger):
    [one, two] = deaths(ledger, 2)
    ledger.jobs.filter(id=one.id).update(reason="upstream")
    action = ledger.action("replay", ALL_DEAD)
    act.run(action, using=ledger.alias)
    assert account(action) == ("done", 2, 1, 1)
    assert "1 skipped: never ran, since the step before died" in action.note
    assert ledger.state(two) == "ready"


@pytest.mark.parametrize(
    "states", [("cancelled", "dead"), ("cancelled",), ("succeeded",), ("cancelled", "dead", "succeeded")]
)
def test_ended_ones_of_several_states_small_batches(ledger, states):
    jobs = {state: [ledger.at(state) for _ in range(3)] for state in ("succeeded", "cancelled", "dead")}
    action, options, seen = ledger.action("replay", Selection(states=states), force=True), {}, []
    while True:
        ids, options["at"] = line.next_jobs(Selection(states=states), action.created_at, options, 2, using=ledger.alias)
        if not ids:
            break
        assert len(ids) <= 2
        seen += ids
    assert sorted(seen) == sorted(job.id for state in states for job in jobs[state])
    act.run(action, using=ledger.alias)
    assert action.changed == 3 * len(states)


def test_states_that_a_verb_does_not_take_are_refused(ledger):
    with pytest.raises(ValueError, match="replay takes jobs that are cancelled, dead, not succeeded"):
        ledger.action("replay", Selection(states=("succeeded",)))
    with pytest.raises(ValueError, match="discard takes jobs that are dead, not cancelled"):
        ledger.action("discard", Selection(states=("cancelled",)))
    with pytest.raises(ValueError, match="cancel takes"):
        ledger.action("cancel", ALL_DEAD)


# -- cancel


def test_a_cancel_is_written_down_like_the_others(ledger):
    jobs = {state: ledger.at(state) for state in State}
    action = ledger.action("cancel", Selection())
    act.run(action, using=ledger.alias)
    assert account(action) == ("done", 4, 4, 0)
    assert ledger.changes(action) == {jobs[state].id: state for state in ("waiting", "scheduled", "ready", "running")}
    assert ledger.row(jobs["running"]).cancel == "ask"
    assert {ledger.state(jobs[state]) for state in ("waiting", "scheduled", "ready")} == {"cancelled"}


def test_one_that_is_asked_already_is_sent_a_signal(ledger):
    job = ledger.running()
    for signal, mark in [(None, "ask"), ("SIGTERM", "SIGTERM")]:
        action = ledger.action("cancel", Selection(), signal=signal)
        act.run(action, using=ledger.alias)
        assert (action.changed, ledger.row(job).cancel) == (1, mark)


def test_a_cancel_takes_none_that_was_asked_for_later(ledger):
    early = ledger.given()
    action = ledger.action("cancel", Selection(queue="q"))
    late = ledger.given()
    act.run(action, using=ledger.alias)
    assert (ledger.state(early), ledger.state(late)) == ("cancelled", "ready")


# -- at a rate


def test_a_rate_goes_on_over_the_batches_and_does_not_run_ahead(ledger):
    deaths(ledger, BATCH + 10)
    action = ledger.action("replay", ALL_DEAD, rate=0.5)
    assert act.run(action, using=ledger.alias) == Step.WAITS
    assert (action.state, action.changed) == ("open", BATCH)
    options = json.loads(action.options)
    # Time passes.
    options["next"] = ledger.now().isoformat()
    Action.objects.using(ledger.alias).filter(pk=action.pk).update(options=json.dumps(options))
    assert act.run(action, using=ledger.alias) == Step.OVER
    runs = list(ledger.jobs.order_by("run_at").values_list("run_at", flat=True))
    assert (runs[-1] - runs[0]).total_seconds() > (BATCH - 2) / 0.5


# -- canaries


def go(ledger, action):
    done = act.run(action, using=ledger.alias)
    return done, action.state, action.stage, action.changed


def test_a_canary_is_sent_ahead_then_ten_then_all(ledger):
    deaths(ledger, 30)
    action = ledger.action("replay", ALL_DEAD, canary=True)
    assert go(ledger, action) == (Step.WAITS, "open", 1, 1)
    assert go(ledger, action) == (Step.WAITS, "open", 1, 1)
    [first] = ledger.claim()
    assert go(ledger, action) == (Step.WAITS, "open", 1, 1)
    ledger.finish(ending(first))
    assert go(ledger, action) == (Step.WAITS, "open", 11, 11)
    ten = ledger.claim()
    ledger.finish(*(ending(job) for job in ten[1:]))
    assert go(ledger, action) == (Step.WAITS, "open", 11, 11)
    ledger.finish(ending(ten[0], "cancelled"))
    assert go(ledger, action) == (Step.OVER, "done", 11, 30)


@pytest.mark.parametrize("at", [0, 1])
def test_a_canary_that_dies_again_stops_the_action_and_it_is_said_of_what(ledger, at):
    jobs = deaths(ledger, 30)
    action = ledger.action("replay", ALL_DEAD, canary=True)
    for _ in range(at):
        act.run(action, using=ledger.alias)
        ledger.finish(*(ending(job) for job in ledger.claim()))
    act.run(action, using=ledger.alias)
    sent = ledger.claim()
    ledger.finish(ending(sent[-1], "dead", exception="shop.Refused"))
    done, state, _, changed = go(ledger, action)
    assert (done, state) == (Step.OVER, "stopped")
    assert action.note == f"shop.noop[{sent[-1].id}] died again: shop.Refused"
    assert ledger.jobs.filter(state="dead").count() == len(jobs) - changed + 1
    assert go(ledger, action)[:2] == (Step.OVER, "stopped")


def test_a_canary_that_dies_while_it_is_looked_at_is_said_to_have_died(ledger):
    deaths(ledger, 30)
    action = ledger.action("replay", ALL_DEAD, canary=True)
    act.run(action, using=ledger.alias)
    [sent] = ledger.claim()
    dying = [sent]

    def dies_before_its_attempts_are_read(run, sql, params, many, context):
        if Attempt._meta.db_table in sql and dying:
            dying.clear()
            ledger.finish(ending(sent, "dead", exception="shop.Refused"), failures=[story(sent)])
        return run(sql, params, many, context)

    with connections[ledger.alias].execute_wrapper(dies_before_its_attempts_are_read):
        assert go(ledger, action) == (Step.OVER, "stopped", 1, 1)
    assert action.note == f"shop.noop[{sent.id}] died again: shop.Refused"


def test_a_canary_that_fails_once_stops_the_action_though_it_is_tried_again(ledger):
    """Until its last attempt hours may pass, and the others need not go the same way."""
    deaths(ledger, 30)
    action = ledger.action("replay", ALL_DEAD, canary=True)
    act.run(action, using=ledger.alias)
    [sent] = ledger.claim()
    ledger.reschedule(back(sent, charge=1, delay=HOUR), failures=[story(sent, exception="shop.Refused")])
    assert go(ledger, action) == (Step.OVER, "stopped", 1, 1)
    assert action.note == f"shop.noop[{sent.id}] failed again: shop.Refused"


def test_a_canary_whose_process_died_is_waited_for(ledger):
    deaths(ledger, 30)
    action = ledger.action("replay", ALL_DEAD, canary=True)
    act.run(action, using=ledger.alias)
    [sent] = ledger.claim()
    ledger.reschedule(back(sent, charge=1, delay=HOUR), failures=[story(sent, kind="lost")])
    assert go(ledger, action) == (Step.WAITS, "open", 1, 1)


def test_a_canary_alone(ledger):
    deaths(ledger, 1)
    action = ledger.action("replay", ALL_DEAD, canary=True)
    assert go(ledger, action) == (Step.WAITS, "open", 1, 1)
    ledger.finish(*(ending(job) for job in ledger.claim()))
    assert go(ledger, action) == (Step.OVER, "done", 1, 1)


# -- stopping


def test_a_stopped_action_does_nothing_more(ledger):
    deaths(ledger, BATCH + 5)
    action = ledger.action("replay", ALL_DEAD)
    act.step(action, using=ledger.alias)
    assert act.stop(action, BY, using=ledger.alias)
    assert (action.state, action.note) == ("stopped", "stopped by ada (a test): the shop was down")
    assert act.run(action, using=ledger.alias) == Step.OVER
    assert ledger.jobs.filter(state="dead").count() == 5
    assert not act.stop(action, BY, using=ledger.alias)


def test_an_action_that_is_gone_is_nobodys(ledger):
    action = ledger.action("replay", Selection.of(an_id()))
    Action.objects.using(ledger.alias).all().delete()
    assert act.run(action, using=ledger.alias) == Step.BUSY


def test_a_scheduled_job_is_no_canary_that_came_to_its_end(ledger):
    deaths(ledger, 2)
    action = ledger.action("replay", ALL_DEAD, canary=True)
    act.run(action, using=ledger.alias)
    [job] = ledger.claim()
    from tests.ledger_helpers import back

    ledger.reschedule(back(job, delay=HOUR))
    assert go(ledger, action) == (Step.WAITS, "open", 1, 1)
    assert ledger.insert(a_job()) == 1
