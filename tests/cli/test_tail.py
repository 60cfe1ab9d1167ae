"""`jobs tail`: the last of what happened, then what happens."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandParser
from django.core.management.base import OutputWrapper
from django.core.management.color import no_style

from celeriac.ledger.states import State
from celeriac.management.jobs import arguments, tailing
from celeriac.management.jobs.tailing import tail
from celeriac.management.terminal.screen import Screen
from tests.ledger_helpers import back, ending, story


@pytest.fixture
def tailed(ledger, monkeypatch):
    """Run `jobs tail` while *steps* are done, one at each rest; return its lines."""
    # A look that takes long is left out at the next rests, and the last rest here comes at once.
    monkeypatch.setattr(tailing, "SHARE", 0.0)

    def run(*typed, steps=()):
        parser = CommandParser(prog="jobs")
        arguments.add(parser)
        out, ahead = StringIO(), iter(steps)
        screen = Screen(
            out=OutputWrapper(out), err=OutputWrapper(StringIO()), style=no_style(), now=ledger.now(), width=100
        )

        def pause(_):
            step = next(ahead, None)
            if step is None:
                raise KeyboardInterrupt
            step()

        tail(vars(parser.parse_args(["tail", *typed])), screen, pause)
        return out.getvalue().splitlines()

    return run


def events(lines):
    return [(told["event"], told["id"]) for told in map(json.loads, lines)]


def fails(ledger, job):
    failed = story(job, kind="retry", exception="shop.Timeout", message="no answer")
    ledger.reschedule(back(job, charge=1, delay=60.0), failures=[failed])


def test_each_thing_is_told_once(tailed, ledger, dies):
    before, running = dies(), [ledger.running() for _ in range(3)]
    lines = tailed(
        "-n",
        "0",
        "--json",
        steps=[
            lambda: fails(ledger, running[0]),
            lambda: ledger.finish(ending(running[1])),
            lambda: ledger.finish(ending(running[2], "dead"), failures=[story(running[2])]),
            lambda: None,
            lambda: None,
        ],
    )
    assert str(before.id) not in "".join(lines)
    assert events(lines) == [
        ("retry", str(running[0].id)),
        ("succeeded", str(running[1].id)),
        ("dead", str(running[2].id)),
    ]


def test_as_lines(tailed, ledger, dies):
    job = ledger.running(task="shop.pay")
    [line] = tailed("-n", "0", steps=[lambda: fails(ledger, job), lambda: None])
    time, _, rest = line.partition("  ")
    assert len(time) == len("12:00:00")
    assert rest == f"retry      {str(job.id)[:18]}  shop.pay  Timeout: no answer"


def test_the_last_come_first(tailed, ledger, dies):
    dead, succeeded = dies(), ledger.at(State.SUCCEEDED)
    fails(ledger, failed := ledger.running())
    assert set(events(tailed("--json"))) == {
        ("dead", str(dead.id)),
        ("succeeded", str(succeeded.id)),
        ("retry", str(failed.id)),
    }
    assert events(tailed("--json", "-n", "1")) == [("retry", str(failed.id))]


def test_filters_hold(tailed, ledger, dies):
    def happen():
        dies(task="shop.other")
        fails(ledger, ledger.running(task="shop.other"))
        ledger.at(State.SUCCEEDED, task="shop.pay")
        fails(ledger, ledger.running(task="shop.pay"))
        dies(task="shop.pay")

    told = tailed("--json", "--task", "shop.pay", steps=[happen])
    assert [event for event, _ in events(told)] == ["succeeded", "retry", "dead"]
    told = tailed("-n", "0", "--json", "--state", "dead", steps=[happen])
    assert [event for event, _ in events(told)] == ["dead", "dead"]
    told = tailed("-n", "0", "--json", "--exception", "shop.Timeout", steps=[happen])
    assert sorted(event for event, _ in events(told)) == ["dead", "dead", "retry", "retry"]


def test_our_own_housekeeping_is_no_news_unless_it_fails(tailed, ledger):
    ledger.at(State.SUCCEEDED, task="celeriac.tell_of_death")
    failed = ledger.at(State.DEAD, task="celeriac.tell_of_death")
    assert events(tailed("--json")) == [("dead", str(failed.id))]
    assert len(tailed("--task", "celeriac.tell_of_death")) == 2


def test_a_job_that_is_replayed_and_dies_again_is_told_again(tailed, ledger, dies):
    job = dies(queue="again")

    def again():
        ledger.replay(job)
        [claimed] = ledger.claim(queue="again")
        ledger.finish(ending(claimed, "dead", exception="shop.Timeout"), failures=[story(claimed)])

    assert events(tailed("--json", steps=[again, lambda: None])) == [("dead", str(job.id))] * 2
