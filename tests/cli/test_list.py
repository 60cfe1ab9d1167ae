"""`jobs list`: the dead first of all, by filters, as a table, as JSON, in groups."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db.models import F

from celeriac.ledger.states import State
from tests.ledger_helpers import WORKER, a_present


def ids(said):
    return {job["id"] for job in json.loads(said.out)}


def aged(ledger, job, **ago):
    ledger.jobs.filter(id=job.id).update(finished_at=F("finished_at") - timedelta(**ago))


def test_the_dead_as_a_table(jobs, ledger, dies):
    job = dies("no answer\nfor ever", task="shop.payments.tasks.pay", queue="slow")
    aged(ledger, job, minutes=10)
    ledger.given()
    said = jobs("list")
    head, row = said.lines
    assert head == "ID                  ENDED  TASK                     QUEUE  TRIES  WHY"
    assert row == f"{str(job.id)[:18]}    10m  shop.payments.tasks.pay  slow       1  Timeout: no answer"
    assert (said.err, said.status) == ("", 0)


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal(jobs, dies, columns):
    dies("word " * 60, task="shop.newsletter.tasks." + "very_" * 20 + "long", queue="a-queue-" * 5)
    for command in (["list"], ["list", "--groups"], ["list", "--state", "all"], ["stats"], ["stats", "--tasks"]):
        widest = max(map(len, jobs(*command, columns=columns).lines))
        assert widest <= max(columns, 72), command  # below that the columns that tell keep their least


def test_nothing_is_cut_where_it_goes_to_a_file(jobs, dies):
    job = dies("word " * 50, task="shop." + "x" * 100)
    [_, row] = jobs("list", columns=None).lines
    assert str(job.id) in row
    assert "x" * 100 in row
    assert row.endswith("word word")


def test_nothing_dead_is_no_error(jobs, ledger):
    assert jobs("list") == ("", "There are no dead jobs.\n", 0)
    assert jobs("list", "--json").out == "[]\n"
    assert jobs("list", "--groups").err == "There are no dead jobs.\n"


def test_more_than_the_limit_is_said(jobs, dies):
    for _ in range(3):
        dies()
    said = jobs("list", "--limit", 2)
    assert len(said.lines) == 3
    assert said.err == "The newest 2 of 3 jobs; --limit shows more.\n"


def test_json_has_keys_that_stay(jobs, dies):
    job = dies("no answer", queue="slow", key="order-7")
    [told] = json.loads(jobs("list", "--json").out)
    assert list(told) == [
        *("id", "task", "state", "reason", "queue", "priority", "key", "lane", "attempt", "losses", "replays"),
        *("created_at", "run_at", "started_at", "finished_at", "worker", "group", "exception", "message"),
    ]
    assert (told["id"], told["state"], told["message"], told["key"]) == (str(job.id), "dead", "no answer", "order-7")


@pytest.mark.parametrize(
    ("typed", "fields"),
    [
        (["--task", "shop.refund"], {"task": "shop.refund"}),
        (["--queue", "slow"], {"queue": "slow"}),
        (["--exception", "shop.Refused"], {"exception": "shop.Refused"}),
        (["--group", "77aa"], {"fingerprint": "77aa" + "1" * 28}),
        (["--group", "77AA" + "1" * 28], {"fingerprint": "77aa" + "1" * 28}),
        (["--reason", "lost"], {"reason": "lost"}),
        (["--key", "order-7"], {"key": "order-7"}),
        (["--search", "ada@example.com"], {"args": '["ada@example.com"]'}),
    ],
)
def test_each_filter(jobs, dies, typed, fields):
    one, _ = dies(**fields), dies()
    assert ids(jobs("list", "--json", *typed)) == {str(one.id)}


def test_since_and_until(jobs, ledger, dies):
    old, new = dies(), dies()
    aged(ledger, old, hours=3)
    assert ids(jobs("list", "--json", "--since", "2h")) == {str(new.id)}
    assert ids(jobs("list", "--json", "--until", "2h")) == {str(old.id)}
    assert ids(jobs("list", "--json", "--since", (ledger.now() - timedelta(hours=1)).isoformat())) == {str(new.id)}


def test_states_by_name_and_in_words(jobs, ledger):
    made = {state: str(ledger.at(state).id) for state in State}
    assert ids(jobs("list", "--json")) == {made["dead"]}
    assert ids(jobs("list", "--json", "--state", "ready", "--state", "running,dead")) == {
        made[state] for state in ("ready", "running", "dead")
    }
    assert ids(jobs("list", "--json", "--state", "ended")) == {made[s] for s in ("succeeded", "dead", "cancelled")}
    assert ids(jobs("list", "--json", "--state", "all")) == set(made.values())
    said = jobs("list", "--state", "open")
    assert said.lines[0].split()[2] == "STATE"
    assert {line.split()[2] for line in said.lines[1:]} == {"waiting", "scheduled", "ready", "running"}


def test_what_a_worker_runs_by_its_name(jobs, ledger):
    ledger.renew(a_present(WORKER, hostname="celery@web1"))
    job = ledger.running()
    ledger.at(State.DEAD)
    for name in ("celery@web1", WORKER, str(WORKER)[:20]):
        assert ids(jobs("list", "--json", "--worker", name)) == {str(job.id)}
    assert jobs("list", "--worker", "celery@web2").status == 1


def test_groups_of_the_dead(jobs, ledger, dies):
    for n in range(3):
        dies(f"no answer for {n}", fingerprint="4be1" + "0" * 28)
    last = dies("'name'", exception="KeyError", fingerprint="9c03" + "0" * 28)
    aged(ledger, last, minutes=-5)
    said = jobs("list", "--groups")
    assert [line.split()[:2] for line in said.lines] == [["GROUP", "JOBS"], ["9c030000", "1"], ["4be10000", "3"]]
    assert said.lines[2].endswith("Timeout: no answer for 2")
    told = json.loads(jobs("list", "--groups", "--json").out)
    assert [(group["count"], group["capped"], group["exception"]) for group in told] == [
        (1, False, "KeyError"),
        (3, False, "shop.Timeout"),
    ]


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["--state", "deed"], "no state"),
        (["--since", "yesterday"], "'yesterday' is no time: say how long ago (30m, 2h, 1d)"),
        (["--since", "99999999999d"], "longer ago than anything"),
        (["--group", "ff"], "No group of the dead begins with 'ff'"),
        (["--group", "4b"], "More than one group"),
        (["--limit", "-1"], "below 0"),
        (["--worker", "nobody"], "No worker has the id 'nobody'"),
    ],
)
def test_a_mistake_is_a_sentence(jobs, dies, typed, told):
    dies(fingerprint="4be1" + "0" * 28)
    dies(fingerprint="4be2" + "0" * 28)
    said = jobs("list", *typed)
    assert said.status != 0
    assert told in said.err
    assert "Traceback" not in said.err


def test_a_message_cannot_write_over_the_screen(jobs, dies):
    job = dies("\x1b[2Jgone\x07", args='["\\u001b[31m"]')
    for command in (["list"], ["list", "--groups"], ["show", job.id]):
        said = jobs(*command)
        assert "\x1b" not in said.out
        assert "\\x1b[2Jgone\\x07" in said.out
