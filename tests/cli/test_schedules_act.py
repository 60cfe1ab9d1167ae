"""`schedules run`, `pause`, `resume`, `skip`, `backfill`, `check`."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from celery.schedules import crontab

from celeriac import Recurring
from celeriac.ledger.audit import Action
from celeriac.management.schedules import acting

MINUTE = timedelta(minutes=1)
BROKEN = {"task": "tests.shop.tasks.noop", "schedule": 0.2}


def actions(clockwork):
    rows = Action.objects.using(clockwork.alias).order_by("created_at", "id")
    return [(one.verb, one.schedule, one.actor, one.reason) for one in rows]


BY = ("--as", "ada", "--why", "to see")


def test_run(schedules, clockwork):
    clockwork.write(s={"task": "tests.shop.tasks.add", "schedule": MINUTE, "args": (1, 2)})
    said = schedules("run", "s", *BY)
    job = clockwork.jobs().get()
    assert (job.task, job.args) == ("tests.shop.tasks.add", "[1,2]")
    assert said.out == f"Asked for job {job.id}.\n"
    assert said.err == f"What becomes of it: jobs show {str(job.id)[:18]}\n"
    assert actions(clockwork) == [("run", "s", "ada", "to see")]
    assert Action.objects.using(clockwork.alias).get().origin.startswith("cli ")
    clockwork.now += timedelta(seconds=1)
    assert json.loads(schedules("run", "s", "--json").out)["kind"] == "now"


def test_run_leaves_a_task_to_the_broker_that_says_so(schedules, clockwork, monkeypatch):
    monkeypatch.setattr(clockwork.app, "send_task", lambda *args, **kwargs: None)
    clockwork.write(s={"task": "tests.shop.tasks.noop", "schedule": MINUTE, "options": {"durable": False}})
    assert schedules("run", "s").out == "Sent to the broker: its task is not durable.\n"


def test_a_broken_one_is_not_run(schedules, clockwork):
    clockwork.write(s=BROKEN)
    for typed in (["run", "s"], ["skip", "s"], ["backfill", "s", "--since", "1h"]):
        said = schedules(*typed)
        assert said.err == "Schedule s is broken: It would be due each 0.2 s; once a second is the most.\n"
        assert said.status == 1
    assert actions(clockwork) == []


def test_without_the_projects_app_the_remedy_is_named(schedules, clockwork, monkeypatch):
    clockwork.write(s=MINUTE)

    class Other:
        @staticmethod
        def _get_current_object():
            return object()

    monkeypatch.setattr(acting, "current_app", Other)
    said = schedules("run", "s")
    assert said.status == 1
    assert "celery -A yourproject schedules" in said.err


class TestSwitch:
    def test_pause_and_resume(self, schedules, clockwork):
        clockwork.write(a=MINUTE, b=MINUTE, c=MINUTE)
        assert schedules("pause", "a", *BY).out == "Paused a.\n"
        assert schedules("pause", "a", "b", *BY) == ("Paused 1 schedule.\n", "a was paused already.\n", 0)
        clockwork.passes(seconds=60)
        assert [tick.schedule for tick in clockwork.ticks()] == ["c"]
        said = schedules("resume", "--all", *BY)
        assert said.out == "Resumed 2 schedules.\n"
        assert said.err == "What was due meanwhile was not fired; `backfill` asks for it.\n"
        assert [one[:2] for one in actions(clockwork)] == [
            ("pause", "a"),
            ("pause", "b"),
            ("resume", "a"),
            ("resume", "b"),
        ]

    def test_names_or_all(self, schedules, clockwork):
        clockwork.write(a=MINUTE, b=MINUTE)
        for typed in ([], ["a", "--all"]):
            assert schedules("pause", *typed).err == "Name the schedules to pause, or say --all.\n"
        assert schedules("pause", "--all").out == "Paused 2 schedules.\n"
        assert schedules("pause", "--all").out == "Paused 0 schedules.\n"

    def test_of_names_one_of_which_is_none_nothing_is_done(self, schedules, clockwork):
        clockwork.write(a=MINUTE)
        assert schedules("pause", "a", "nope").status == 1
        assert clockwork.row("a").paused_at is None

    def test_for_a_program(self, schedules, clockwork):
        clockwork.write(a=MINUTE)
        assert json.loads(schedules("resume", "a", "--json").out) == [{"name": "a", "changed": False}]


class TestSkip:
    def test_the_next_and_back(self, schedules, clockwork):
        clockwork.write(s=crontab(minute=0))
        assert schedules("skip", "s", *BY).out == "Will be no job: 2026-06-01 13:00 UTC.\n"
        assert schedules("skip", "s", "--undo", *BY).out == "Put back: 2026-06-01 13:00 UTC.\n"
        assert schedules("skip", "s", "--undo").err == "No tick of s is skipped.\n"
        clockwork.passes(hours=1)
        assert clockwork.told() == [("13:00:00", "fired")]
        assert [one[0] for one in actions(clockwork)] == ["skip", "unskip"]

    def test_one_that_is_named(self, schedules, clockwork):
        clockwork.write(s=crontab(minute=0))
        told = json.loads(schedules("skip", "s", "--at", "2026-06-01T14:00", "--json").out)
        assert told == {"name": "s", "instant": "2026-06-01T14:00:00+00:00", "skipped": True}
        assert schedules("skip", "s", "--at", "2026-06-01T18:00+02:00").out.endswith("16:00 UTC.\n")
        assert (
            schedules("skip", "s", "--undo").err == "Say which with --at: 2026-06-01 14:00 UTC; 2026-06-01 16:00 UTC.\n"
        )
        said = schedules("skip", "s", "--undo", "--at", "2026-06-01 15:00")
        assert said.err.startswith("That tick is not skipped. Skipped: 2026-06-01 14:00 UTC;")
        clockwork.passes(hours=2)
        assert clockwork.told()[-1] == ("14:00:00", "skipped asked")

    def test_a_time_at_which_it_is_not_due(self, schedules, clockwork):
        clockwork.write(s=crontab(minute=0))
        assert schedules("skip", "s", "--at", "2026-06-01T14:30").err == (
            "Schedule s is not due at 2026-06-01T14:30:00+00:00; the next tick is at 2026-06-01T15:00:00+00:00.\n"
        )
        assert schedules("skip", "s", "--at", "tomorrow").err.startswith("'tomorrow' is no time: say when")


class TestBackfill:
    def test_is_shown_and_then_done(self, schedules, clockwork):
        clockwork.write(s=crontab(minute=0))
        clockwork.passes(hours=1)
        clockwork.now += timedelta(hours=3)
        said = schedules("backfill", "s", "--since", "2026-06-01T11:00")
        assert said.lines == [
            "Would ask for 5 jobs of tests.shop.tasks.noop (1 of 6 ticks have had one).",
            "first  2026-06-01 11:00 UTC",
            "last   2026-06-01 16:00 UTC",
        ]
        assert said.err == "Nothing was done. To ask for them, add --yes.\n"
        assert clockwork.jobs().count() == 1
        said = schedules("backfill", "s", "--since", "2026-06-01T11:00", "--yes", *BY)
        assert said.out == "Asked for 5 jobs of tests.shop.tasks.noop (1 of 6 ticks have had one).\n"
        assert clockwork.jobs().count() == 6
        assert actions(clockwork) == [("backfill", "s", "ada", "to see")]
        assert schedules("backfill", "s", "--since", "4h").err == "There is nothing to do.\n"

    def test_for_a_program(self, schedules, clockwork):
        clockwork.write(s=crontab(minute=0))
        typed = ["backfill", "s", "--since", "2026-06-01T09:30", "--until", "2026-06-01T11:00", "--json"]
        told = json.loads(schedules(*typed).out)
        assert told == {"dry_run": True, "name": "s", "due": 2, "jobs": 2, "had_one": 0, "ticks": []}
        told = json.loads(schedules(*typed, "--yes").out)
        assert (told["dry_run"], len(told["ticks"]), told["ticks"][0]["kind"]) == (False, 2, "backfill")

    def test_a_time_without_a_tick(self, schedules, clockwork):
        clockwork.write(s=crontab(minute=0))
        said = schedules("backfill", "s", "--since", "30m", "--until", "10m")
        assert said.err == "s was not due between 2026-06-01 11:30:00 UTC and 2026-06-01 11:50:00 UTC.\n"
        assert said.status == 1


class TestCheck:
    def test_all_is_well(self, schedules, clockwork):
        clockwork.write(a=MINUTE, b=MINUTE)
        assert schedules("check") == ("OK: 2 schedules.\n", "", 0)
        assert json.loads(schedules("check", "--json").out) == {"ok": True, "schedules": 2, "wrong": []}

    def test_overdue_and_broken(self, schedules, clockwork):
        clockwork.write(late=MINUTE, fast=BROKEN, off=BROKEN)
        clockwork.rows().filter(name="off").update(enabled=False)
        clockwork.now += timedelta(minutes=1, seconds=61)
        said = schedules("check")
        assert said.lines == [
            "fast: It would be due each 0.2 s; once a second is the most.",
            "late: overdue for 61s: was due 2026-06-01 12:01:00 UTC and nobody has fired it",
        ]
        assert said.status == 1
        told = json.loads(schedules("check", "--json").out)
        assert [(one["name"], one["what"]) for one in told["wrong"]] == [("fast", "broken"), ("late", "overdue")]

    def test_what_is_paused_is_not_missed(self, schedules, clockwork):
        clockwork.write(late=MINUTE)
        schedules("pause", "late")
        clockwork.now += timedelta(hours=1)
        assert schedules("check").status == 0

    def test_only_those_that_are_named(self, schedules, clockwork):
        clockwork.write(late=MINUTE, daily=crontab(hour=3, minute=0))
        clockwork.now += timedelta(minutes=5)
        assert schedules("check", "daily") == ("OK: 1 schedule.\n", "", 0)
        assert schedules("check", "daily", "late").status == 1

    def test_a_job_that_is_late_where_nobody_is_left_to_see_it(self, schedules, clockwork):
        clockwork.write(s=Recurring(crontab(minute=0), within=60))
        clockwork.passes(hours=1)
        assert schedules("check").status == 0
        clockwork.now += timedelta(seconds=61)
        said = schedules("check")
        assert said.lines == ["s: the job of 2026-06-01 13:00:00 UTC has not succeeded in time; it is ready"]
        assert said.status == 1
        clockwork.jobs().update(state="succeeded", finished_at=clockwork.now)
        assert schedules("check").status == 0


def test_none_at_all_is_said_and_no_failure(schedules):
    said = schedules("check")
    assert said.out.startswith("There are no schedules.")
    assert said.status == 0


@pytest.mark.parametrize("verb", ["run", "pause", "resume", "skip"])
def test_who_and_why_are_written_down(schedules, clockwork, verb):
    clockwork.write(s=MINUTE)
    if verb == "resume":
        schedules("pause", "s")
    schedules(verb, "s", *BY)
    assert actions(clockwork)[-1] == (verb, "s", "ada", "to see")
