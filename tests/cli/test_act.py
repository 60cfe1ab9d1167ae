"""`jobs replay`, `discard`, `cancel`: shown first, done with --yes, written down; and what is refused."""

from __future__ import annotations

import getpass
import json
import re
import socket
from itertools import pairwise

import pytest

from celeriac.ledger.audit import Action
from celeriac.ledger.states import State
from tests.ledger_helpers import an_id
from tests.shop.tasks import add

PAY = ("--task", "shop.pay")
THAT = "the dead one"


@pytest.fixture
def actions(ledger):
    """The actions that were written, oldest first."""
    return lambda: list(Action.objects.using(ledger.alias).order_by("created_at"))


def test_what_filters_match_is_shown_and_not_done(jobs, ledger, dies, actions):
    dead = [dies() for _ in range(3)]
    dies(task="shop.other")
    said = jobs("replay", *PAY)
    text = re.sub(r"\d{4}-\S+ \S+ UTC \(\d+s ago\)", "<time>", said.out)
    assert (
        text
        == """\
Would replay 3 dead jobs of task shop.pay.

JOBS  STATE  TASK
   3  dead   shop.pay

oldest  ended <time>
newest  ended <time>

"""
    )
    assert (said.err, said.status) == ("Nothing was done. To replay them, add --yes.\n", 0)
    assert {ledger.state(job) for job in dead} == {"dead"}
    assert actions() == []


def test_with_yes_it_is_done_and_written_down(jobs, ledger, dies, actions):
    dead, other = [dies() for _ in range(3)], dies(task="shop.other")
    said = jobs("replay", *PAY, "--yes", "--why", "the gateway is back")
    assert said == ("Replayed 3 jobs.\n", "", 0)
    assert {ledger.state(job) for job in dead} == {"ready"}
    assert ledger.state(other) == "dead"
    [action] = actions()
    assert (action.verb, action.state, action.changed) == ("replay", "done", 3)
    assert (action.actor, action.reason) == (getpass.getuser(), "the gateway is back")
    assert action.origin == f"cli {socket.gethostname()}"


def test_a_job_by_its_id_is_done_at_once(jobs, ledger, dies, actions):
    job = dies()
    assert jobs("replay", job.id, "--as", "ada").out == "Replayed 1 job.\n"
    assert ledger.state(job) == "ready"
    assert actions()[0].actor == "ada"


def test_or_only_shown(jobs, ledger, dies, actions):
    job = dies()
    assert jobs("replay", job.id, "--dry-run").err == "Nothing was done.\n"
    assert (ledger.state(job), actions()) == ("dead", [])


def test_json_of_what_would_be_and_of_what_was_done(jobs, dies):
    dies()
    would = json.loads(jobs("replay", *PAY, "--json").out)
    assert (would["dry_run"], would["matched"]) == (True, 1)
    assert would["parts"] == [{"task": "shop.pay", "state": "dead", "count": 1}]
    done = json.loads(jobs("replay", *PAY, "--json", "--yes").out)
    assert (done["state"], done["matched"], done["changed"]) == ("done", 1, 1)


def test_discarding_asks_for_the_reason(jobs, ledger, dies):
    job = dies()
    assert "add --yes and --why TEXT" in jobs("discard", *PAY).err
    refused = jobs("discard", *PAY, "--yes")
    assert (refused.status, refused.err) == (1, "Say why they may be put away: --why TEXT.\n")
    assert jobs("discard", job.id).status == 1
    assert jobs("discard", *PAY, "--yes", "--why", "a test order").out == "Discarded 1 job.\n"
    assert (ledger.row(job).state, ledger.row(job).reason) == ("cancelled", "discarded")


def test_cancel_says_who_was_asked(jobs, ledger):
    runs, ready = ledger.running(queue="mail"), ledger.given(queue="mail")
    assert "Would cancel 2 open jobs in queue mail." in jobs("cancel", "--queue", "mail").out
    assert jobs("cancel", "--queue", "mail", "--yes").out == "Asked 1 job to end, and cancelled 1 job.\n"
    assert (ledger.row(runs).cancel, ledger.state(ready)) == ("ask", "cancelled")
    assert jobs("cancel", runs.id, "--terminate").out == "Asked 1 job to end.\n"
    assert ledger.row(runs).cancel == "SIGTERM"


def test_a_succeeded_job_takes_force(jobs, ledger):
    job = ledger.at(State.SUCCEEDED)
    refused = jobs("replay", job.id)
    assert refused.status == 1
    assert "It is succeeded. --force replays also what succeeded" in refused.err
    assert "--force" in jobs("replay", "--state", "succeeded").err
    assert jobs("replay", job.id, "--force").status == 0
    assert ledger.state(job) == "ready"


def test_a_rate_lets_them_become_due_one_by_one(jobs, ledger, dies):
    dead = [dies() for _ in range(3)]
    assert jobs("replay", *PAY, "--yes", "--rate", "0.5").status == 0
    due = sorted(ledger.row(job).run_at for job in dead)
    assert [round((b - a).total_seconds(), 1) for a, b in pairwise(due)] == [2.0, 2.0]


def test_what_is_not_waited_for_is_left_to_the_leader(jobs, ledger, dies, actions):
    for _ in range(3):
        dies()
    said = jobs("replay", *PAY, "--yes", "--canary", "--no-wait")
    [action] = actions()
    assert said.out == "Replayed 1 job of 3.\n"
    assert said.err == f"Left to the worker that leads. How far it is: jobs actions {action.id}\n"
    assert said.status == 0


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["replay"], "say --all for all dead jobs"),
        (["cancel"], "say --all for all open jobs"),
        (["replay", "--task", "nobody"], "There are no dead jobs of task nobody."),
        (["replay", "--task", "nobody", "--yes"], "There are no dead jobs of task nobody. Nothing was changed."),
        (["replay", "--state", "ready"], "replay takes jobs that are cancelled, dead, not ready."),
        (["discard", "--state", "cancelled"], "discard takes jobs that are dead, not cancelled."),
        (["replay", an_id()], "No job has the id"),
        (["replay", THAT, an_id()], "No job has the id"),
        (["replay", THAT, *PAY], "by id or by filters, not both: --task"),
        (["replay", THAT, "--args", "[1"], "--args is not JSON"),
        (["replay", THAT, "--args", "{}"], "--args must be a list"),
        (["replay", THAT, "--kwargs", "[]"], "--kwargs must be an object"),
        (["replay", *PAY, "--args", "[1]"], "Other arguments are for one job"),
        (["replay", *PAY, "--yes", "--rate", "0"], "A rate is a number of jobs a second, above 0"),
        (["replay", *PAY, "--rate", "fast"], "invalid float value"),
        (["cancel", *PAY, "--canary"], "unrecognized arguments: --canary"),
    ],
)
def test_a_mistake_changes_nothing(jobs, ledger, dies, actions, typed, told):
    job = dies()
    said = jobs(*(job.id if word == THAT else word for word in typed))
    assert told in said.err
    assert said.status != 0
    assert (ledger.state(job), actions()) == ("dead", [])


def test_all_of_them_is_a_word(jobs, ledger, dies):
    job = dies()
    assert "Would replay 1 dead job." in jobs("replay", "--all").out
    assert jobs("replay", "--all", "--yes").status == 0
    assert ledger.state(job) == "ready"


# -- other arguments


@pytest.fixture
def failed(dies):
    return dies(task=add.name, args="[1,2]")


def test_the_difference_is_shown_and_kept(jobs, ledger, failed):
    shown = jobs("replay", failed.id, "--args", "[1,3]", "--dry-run")
    assert shown.err.startswith("y: 2 -> 3\n")
    assert ledger.state(failed) == "dead"
    assert jobs("replay", failed.id, "--args", "[1,3]").status == 0
    assert (ledger.row(failed).args, ledger.state(failed)) == ("[1,3]", "ready")
    assert "y: 2 -> 3" in jobs("show", failed.id).out


def test_what_does_not_fit_is_refused(jobs, ledger, failed, actions):
    said = jobs("replay", failed.id, "--args", "[1]")
    assert said.status == 1
    assert re.search(r"tests.shop.tasks.add does not take these arguments: .*'y'", said.err)
    assert (ledger.state(failed), actions()) == ("dead", [])


def test_a_task_that_is_not_known_here_is_said(jobs, ledger, dies):
    job = dies(task="elsewhere.pay", args="[1]")
    said = jobs("replay", job.id, "--args", "[2]")
    assert "does not know the task elsewhere.pay: whether they fit was not checked" in said.err
    assert ledger.row(job).args == "[2]"
