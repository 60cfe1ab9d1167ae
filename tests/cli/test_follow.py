"""An action on many jobs: how far it is, a canary that dies, and Ctrl-C."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management.base import OutputWrapper
from django.core.management.color import no_style

from celeriac.api import operate
from celeriac.ledger.selection import Selection
from celeriac.management.jobs.following import follow
from celeriac.management.terminal.screen import Screen
from tests.ledger_helpers import BY, ending


class Terminal(StringIO):
    def isatty(self):
        return True


@pytest.fixture
def screen(ledger):
    out, err = OutputWrapper(StringIO()), OutputWrapper(StringIO())
    return Screen(out=out, err=err, style=no_style(), now=ledger.now(), width=80)


@pytest.fixture
def action(ledger, dies):
    for _ in range(15):
        dies(queue="bulk")
    return operate.replay(Selection(task="shop.pay"), BY, canary=True)


def end_those_sent(ledger, state):
    for job in ledger.claim(queue="bulk"):
        ledger.finish(ending(job, state, exception="shop.Timeout" if state == "dead" else ""))


def test_it_is_followed_to_its_end(ledger, screen, action):
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        end_those_sent(ledger, "succeeded")

    follow(action, screen, pause)
    assert (action.state, action.changed) == ("done", 15)
    assert len(pauses) == 2
    assert screen.err.getvalue() == "replay: 1 of 15, waiting for a canary\n"


def test_a_canary_that_dies_stops_it(ledger, screen, action):
    follow(action, screen, lambda _: end_those_sent(ledger, "dead"))
    assert (action.state, action.changed) == ("stopped", 1)


def test_ctrl_c_leaves_it_to_the_leader(screen, action):
    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        follow(action, screen, interrupt)
    assert ended.value.code == 130
    action.refresh_from_db(using=action._state.db)
    assert action.state == "open"
    assert f"jobs actions stop {action.id}" in screen.err.getvalue()
    assert "Interrupted at 1 of 15 jobs" in screen.err.getvalue()


def test_on_a_terminal_the_line_is_written_over(ledger, screen, action):
    screen.err = OutputWrapper(Terminal())
    follow(action, screen, lambda _: end_those_sent(ledger, "succeeded"))
    told = screen.err.getvalue()
    assert "\r\x1b[2Kreplay: 11 of 15, waiting for a canary" in told
    assert told.endswith("\r\x1b[2K")


def test_actions_are_listed_and_stopped(jobs, action):
    said = jobs("actions")
    assert said.lines[0].split() == ["ID", "BEGUN", "BY", "VERB", "STATE", "DONE", "WHAT"]
    assert said.lines[1].split()[2:6] == ["ada", "replay", "open", "1/15"]
    assert "the shop was down; dead jobs of task shop.pay" in said.lines[1]
    stopped = jobs("actions", "stop", str(action.id)[:16], "--as", "eve", "--why", "enough")
    assert stopped.out == "Stopped. 1 of 15 jobs were changed, and stay so.\n"
    assert "stopped by eve (cli " in jobs("actions", action.id, columns=None).out
    again = jobs("actions", "stop", action.id)
    assert (again.status, again.err) == (1, "It is stopped already: 1 jobs were changed.\n")
    assert jobs("actions", "stop").status == 1
    assert jobs("actions", "ffff").err == "No action has the id 'ffff', or one that begins so.\n"
