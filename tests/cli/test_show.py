"""`jobs show`: the story of a job."""

from __future__ import annotations

import json
import re

import pytest

from celeriac.ledger import act, effects
from celeriac.ledger.effects import Owner
from celeriac.ledger.ids import job_id
from celeriac.ledger.rows import NewJob
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import State
from tests.ledger_helpers import BY, back, ending, story

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")


def plain(said, *jobs):
    """The text without what differs from run to run."""
    text = TIME.sub("<time>", said.out)
    for n, job in enumerate(jobs):
        text = text.replace(str(job.id), f"<job {n}>").replace(str(job.id)[:18], f"<job {n}>")
    return re.sub(r"\(\d+m?s ago\)", "(now)", text)


def test_a_dead_job(jobs, ledger, dies):
    job = dies("no answer", args='[7,{"__type__":"decimal","__value__":"3.50"}]', kwargs='{"to":"ada"}', key="order-7")
    assert (
        plain(jobs("show", job.id), job)
        == """\
shop.pay  <job 0>
  state      dead, failed
  queue      q
  key        order-7
  args       [7, Decimal('3.50')]
  kwargs     {'to': 'ada'}
  asked      <time> (now)
  started    <time> (now)
  ended      <time> (now), took 1.5s
  attempts   1 that did not succeed

  attempt 1: failed, <time>, took 0s
    Traceback: in pay
    shop.Timeout: no answer
"""
    )


def test_the_traceback_of_the_last_attempt_or_of_all(jobs, ledger):
    job = ledger.running()
    failed = story(job, kind="retry", exception="shop.Timeout", message="once", traceback="TRACE ONE")
    ledger.reschedule(back(job, charge=1), failures=[failed])
    [again] = [claim for claim in ledger.claim() if claim.id == job.id]
    ledger.finish(
        act_dead(again), failures=[story(again, exception="shop.Timeout", message="twice", traceback="TRACE TWO")]
    )
    said = jobs("show", job.id)
    assert "TRACE TWO" in said.out
    assert "TRACE ONE" not in said.out
    assert "shop.Timeout: once" in said.out
    assert "--all" in said.err
    assert "TRACE ONE" in jobs("show", job.id, "--all").out


def act_dead(job):
    return ending(job, "dead", reason="exhausted", exception="shop.Timeout", charge=1)


def test_what_operators_did_to_it(jobs, ledger, dies):
    job = dies(args="[7]")
    action = act.begin("replay", Selection.of(job.id), BY, {"args": "[8]", "diff": '{"customer": [7, 8]}'})
    act.run(action)
    said = jobs("show", job.id)
    assert "replay by ada (a test): the shop was down" in said.out
    assert "customer: 7 -> 8" in said.out
    assert "replayed once" in said.out
    [told] = json.loads(jobs("show", job.id, "--json").out)
    [change] = told["changes"]
    assert (change["verb"], change["before"], change["diff"]) == ("replay", "dead", {"customer": [7, 8]})


def test_effects_and_their_doubt(jobs, ledger):
    job = ledger.running()
    owner = Owner(job.id, job.claim_no)
    effects.begin(owner, "charge")
    effects.done(owner, "charge", '"ch_1"')
    effects.begin(owner, "mail")
    assert re.search(r"charge: done .*, 'ch_1'\n +mail: at it since", jobs("show", job.id).out)
    ledger.finish(act_dead(job))
    assert "mail: in doubt, begun" in jobs("show", job.id).out
    [told] = json.loads(jobs("show", job.id, "--json").out)
    assert [(effect["name"], effect["in_doubt"]) for effect in told["effects"]] == [("charge", False), ("mail", True)]


def test_who_waits_for_whom(jobs, ledger):
    parent = ledger.running(task="shop.header")
    [child] = ledger.children_of(parent.id, task="shop.body")
    assert f"waits for  {str(parent.id)[:18]}  running    shop.header" in jobs("show", child.id).out
    assert f"before     {str(child.id)[:18]}  waiting    shop.body" in jobs("show", parent.id).out


def test_why_a_ready_job_is_not_taken(jobs, ledger):
    job = ledger.given(queue="nobodys")
    assert "no worker takes the queue nobodys" in jobs("show", job.id).out
    ledger.pause("nobodys")
    assert "the queue nobodys is paused" in jobs("show", job.id).out


def test_whose_turn_it_is(jobs, ledger):
    first, second = (ledger.given(lane="till", reason="exclusive") for _ in range(2))
    ledger.admit()
    assert f"the lane till is {first.id}'s" in jobs("show", second.id).out


def test_by_a_part_of_the_id_or_a_name_of_the_callers_own(jobs, ledger):
    job = ledger.at(State.DEAD)
    named = NewJob(job_id("invoice-7"), "shop.pay", "q")
    ledger.insert(named)
    assert str(job.id) in jobs("show", str(job.id)[:20]).out
    assert str(named.id) in jobs("show", "invoice-7").out
    assert jobs("show", job.id, "invoice-7").out.count("state") == 2


def test_an_id_that_could_be_two(jobs, ledger):
    one, two = sorted(str(ledger.given().id) for _ in range(2))
    said = jobs("show", one[:6])
    assert said.status == 1
    assert "More than one job" in said.err
    assert one in said.err
    assert two in said.err


@pytest.mark.parametrize("text", ["deadbeef", "no-such", "---", "00000000-0000-4000-8000-0000000000ff"])
def test_an_id_that_is_none(jobs, ledger, text):
    ledger.given()
    said = jobs("show", "--", text)
    assert (said.status, said.out) == (1, "")
    assert f"No job has the id '{text}'" in said.err


def test_arguments_that_nobody_here_can_read(jobs, ledger):
    job = ledger.given(args='[{"__type__":"shop.Money","__value__":[1]}]', kwargs="{}")
    assert "shop.Money" in jobs("show", job.id).out
