"""`schedules list`, `next`, `show`, `history`: what a person sees of schedules, and a program."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from celery.schedules import crontab

from celeriac import Recurring
from celeriac.management.schedules.listing import NONE
from celeriac.schedules import operate
from tests.schedules.conftest import ADA
from tests.shop.celery import app

MINUTE = timedelta(minutes=1)
BROKEN = {"task": "tests.shop.tasks.noop", "schedule": 0.2}
TYPO = {"task": "shop.nope", "schedule": MINUTE}


@pytest.fixture
def berlin(clockwork, settings):
    """Three o'clock in Berlin, which in summer is one in UTC."""
    before = app.conf.timezone
    app.conf.timezone = "Europe/Berlin"
    app.__dict__.pop("timezone", None)
    yield
    app.conf.timezone = before
    app.__dict__.pop("timezone", None)


class TestList:
    def test_as_a_table(self, schedules, clockwork, berlin):
        clockwork.write(nightly=crontab(hour=3, minute=0), often=MINUTE)
        clockwork.passes(seconds=90)
        said = schedules("list", columns=120)
        assert said.lines == [
            "NAME     STATE  SCHEDULE                  NEXT RUN               LAST  CAME TO",
            "nightly  on     At 03:00 (Europe/Berlin)  2026-06-02 03:00 CEST",
            "often    on     Every minute              2026-06-01 12:02 UTC    30s  fired, ready",
        ]
        assert (said.err, said.status) == ("", 0)

    def test_what_is_wrong_is_said_below_in_full(self, schedules, clockwork):
        clockwork.write(fast=BROKEN, typo=TYPO, good=MINUTE)
        said = schedules("list", columns=80)
        assert [line.split()[:2] for line in said.lines[1:4]] == [["fast", "broken"], ["good", "on"], ["typo", "on"]]
        assert said.lines[5] == "fast: It would be due each 0.2 s; once a second is the most."
        assert " ".join(said.lines[6:]).split()[:6] == ["typo:", "No", "task", "'shop.nope'", "is", "registered:"]

    def test_how_each_stands(self, schedules, clockwork):
        clockwork.write(on=MINUTE, paused=MINUTE, late=MINUTE, off=MINUTE, fast=BROKEN)
        operate.pause("paused", ADA)
        clockwork.rows().filter(name="off").update(enabled=False, next_tick=None)
        clockwork.rows().exclude(name="late").exclude(next_tick=None).update(next_tick=clockwork.now + 9 * MINUTE)
        clockwork.now += timedelta(minutes=6)
        stands = {one["name"]: one["standing"] for one in json.loads(schedules("list", "--json").out)}
        assert stands == {"on": "on", "paused": "paused", "late": "overdue", "off": "off", "fast": "broken"}
        assert "5m overdue" in schedules("list").out

    @pytest.mark.parametrize(
        ("typed", "names"),
        [
            (["--trouble"], ["fast", "typo"]),
            (["--overdue"], ["good"]),
            (["--task", "shop.nope"], ["typo"]),
            (["--source", "settings"], ["fast", "good", "typo"]),
            (["--source", "table"], []),
            (["--trouble", "--overdue"], []),
        ],
    )
    def test_filters(self, schedules, clockwork, typed, names):
        clockwork.write(fast=BROKEN, typo=TYPO, good=MINUTE)
        clockwork.rows().filter(name="typo").update(next_tick=clockwork.now + timedelta(days=1))
        clockwork.now += timedelta(minutes=3)
        assert [one["name"] for one in json.loads(schedules("list", "--json", *typed).out)] == names
        if not names:
            assert schedules("list", *typed).err == "There are no such schedules.\n"

    def test_none_at_all_says_who_writes_them(self, schedules):
        assert schedules("list") == ("", f"{NONE}\n", 0)
        assert schedules("next") == ("", f"{NONE}\n", 0)
        assert schedules("history") == ("", "There were no ticks.\n", 0)
        assert schedules("list", "--json").out == "[]\n"

    def test_more_than_the_limit_is_said(self, schedules, clockwork):
        clockwork.write(a=MINUTE, b=MINUTE, c=MINUTE)
        said = schedules("list", "--limit", 2)
        assert len(said.lines) == 3
        assert said.err == "The first 2 of 3 schedules; --limit shows more.\n"

    @pytest.mark.parametrize("columns", [80, 120])
    def test_no_line_is_wider_than_the_terminal(self, schedules, clockwork, columns):
        long = "shop.newsletter." + "very-" * 20 + "long"
        clockwork.write(**{long: crontab(hour="8-18", minute="*/15", day_of_week="mon-fri")}, fast=BROKEN, typo=TYPO)
        clockwork.passes(hours=1)
        operate.run(long, ADA, app=clockwork.app)
        for typed in (["list"], ["next"], ["history"], ["show", "typo"], ["history", long]):
            assert max(map(len, schedules(*typed, columns=columns).lines)) <= columns, typed

    def test_many_cost_few_statements(self, schedules, clockwork, django_assert_max_num_queries):
        clockwork.write(**{f"s{n}": MINUTE for n in range(120)})
        clockwork.passes(seconds=60)
        with django_assert_max_num_queries(8, using=clockwork.alias):
            assert len(schedules("list").lines) == 121


class TestNext:
    def test_in_its_own_time_and_in_utc_across_a_change_of_clocks(self, schedules, clockwork, berlin):
        clockwork.write(nightly=crontab(hour=3, minute=0))
        clockwork.now = clockwork.now.replace(month=10, day=24)
        said = schedules("next", "nightly", "-n", 2)
        assert said.lines == [
            "LOCAL                 UTC                IN",
            "2026-10-25 03:00 CET  2026-10-25 02:00  14h",
            "2026-10-26 03:00 CET  2026-10-26 02:00  38h",
        ]
        clockwork.now = clockwork.now.replace(day=23)
        assert schedules("next", "nightly", "-n", 1).lines[1] == "2026-10-24 03:00 CEST  2026-10-24 01:00  13h"

    def test_of_all_in_order(self, schedules, clockwork):
        clockwork.write(a=timedelta(minutes=2), b=timedelta(minutes=3))
        found = json.loads(schedules("next", "-n", 5, "--json").out)
        assert [(one["name"], one["utc"][14:16]) for one in found] == [
            ("a", "02"),
            ("b", "03"),
            ("a", "04"),
            ("a", "06"),
            ("b", "06"),
        ]

    def test_why_it_will_be_no_job(self, schedules, clockwork):
        clockwork.write(s=Recurring(crontab(minute=0), blackout=[("14:00", "15:00")]))
        operate.skip("s", ADA)
        reasons = [one["no_job"] for one in json.loads(schedules("next", "s", "-n", 3, "--json").out)]
        assert reasons == ["asked", "blackout", ""]
        assert "taken out by hand" in schedules("next").out
        operate.pause("s", ADA)
        assert schedules("next", "s", "-n", 3).lines[3].endswith("paused")

    def test_one_that_is_behind_is_not_left_out_and_said(self, schedules, clockwork):
        clockwork.write(behind=MINUTE, **{f"s{n}": timedelta(hours=1) for n in range(3)})
        clockwork.now += timedelta(minutes=5)
        said = schedules("next", "-n", 1)
        assert said.lines[1].endswith("behind")
        assert said.err == "Overdue: behind. Does a worker run? See: schedules list --overdue\n"

    def test_never(self, schedules, clockwork):
        clockwork.write(fast=BROKEN)
        assert schedules("next", "fast").err.startswith("Schedule fast is not due any more: It would be due each")
        assert schedules("next").err == "Nothing is due any more.\n"


@pytest.mark.parametrize("typed", [["next"], ["show"], ["run"], ["pause"], ["skip"], ["history"], ["check"]])
def test_a_name_that_is_none_is_answered_with_those_like_it(schedules, clockwork, typed):
    clockwork.write(**{"nightly-report": MINUTE, "hourly": MINUTE})
    said = schedules(*typed, "nightly-reprt")
    assert (said.out, said.err, said.status) == (
        "",
        "There is no schedule 'nightly-reprt'. Did you mean 'nightly-report'?\n",
        1,
    )
    assert schedules(*typed, "zzz").err == "There is no schedule 'zzz'; `schedules list` names those that there are.\n"


class TestShow:
    def test_all_of_it(self, schedules, clockwork, berlin):
        said = Recurring(
            crontab(hour=3, minute=0),
            misfire="all",
            window=7200,
            overlap="skip",
            jitter=30,
            blackout=[("sat", "22:00", "06:00")],
            within=3600,
        )
        entry = {"task": "tests.shop.tasks.add", "schedule": said, "args": (1, 2), "options": {"queue": "slow"}}
        clockwork.write(nightly=entry)
        operate.run("nightly", ADA, app=clockwork.app)
        operate.skip("nightly", ADA)
        out = schedules("show", "nightly").out
        for text in (
            "state      on\n",
            "schedule   At 03:00 (Europe/Berlin)\n",
            "written in CELERY_BEAT_SCHEDULE of shop\n",
            "task       tests.shop.tasks.add\n",
            "args       [1, 2]\n",
            "options    {'queue': 'slow'}\n",
            "each missed tick is made up for, up to 2 hours later\n",
            "no job while an earlier one is open\n",
            "a job starts up to 30 seconds after its tick\n",
            "no job from 22:00 to 06:00 on Sat\n",
            "somebody is told when a job has not succeeded 1 hour later\n",
            "skipped    2026-06-02 03:00:00 CEST\n",
            "skip by ada (code): since I say so\n",
            "2026-06-02 03:00 CEST  2026-06-02 01:00",
            "fired, ready",
        ):
            assert text in out, text

    def test_for_a_program(self, schedules, clockwork):
        clockwork.write(s=Recurring(MINUTE, within=60))
        clockwork.passes(seconds=61)
        told = json.loads(schedules("show", "s", "--json").out)
        assert (told["name"], told["standing"], told["schedule"], told["last"]) == (
            "s",
            "on",
            "Every minute",
            "2026-06-01T12:01:00+00:00",
        )
        assert len(told["coming"]) == 5
        assert told["ticks"][0] == told["last_tick"]
        assert {key: told["last_tick"][key] for key in ("outcome", "late", "deadline", "job")} == {
            "outcome": "fired",
            "late": 1.0,
            "deadline": "2026-06-01T12:02:01+00:00",
            "job": str(clockwork.jobs().get().id),
        }

    def test_a_broken_one(self, schedules, clockwork):
        clockwork.write(fast=BROKEN)
        out = schedules("show", "fast").out
        assert "state      broken\n  trouble    It would be due each 0.2 s" in out
        assert "schedule" not in out


class TestHistory:
    def test_newest_first_and_what_came_of_each(self, schedules, clockwork):
        clockwork.write(s=MINUTE)
        clockwork.passes(seconds=61)
        clockwork.passes(seconds=400)
        clockwork.ticks().filter(outcome="fired").update(outcome="dead", told="overdue")
        said = schedules("history", "s", columns=120)
        job = str(clockwork.jobs().last().id)[:18]
        assert said.lines[:3] == [
            "TICK                  LATE  CAME TO    JOB                 WHY",
            f"2026-06-01 12:07 UTC   41s  dead       {job}  not in time",
            "2026-06-01 12:06 UTC        5 skipped                      missed",
        ]
        assert len(said.lines) == 4

    def test_of_all_with_their_names(self, schedules, clockwork):
        clockwork.write(a=MINUTE, b=MINUTE)
        clockwork.passes(seconds=60)
        assert {one["schedule"] for one in json.loads(schedules("history", "--json").out)} == {"a", "b"}
        assert schedules("history").lines[0].split()[:2] == ["TICK", "SCHEDULE"]

    def test_limits(self, schedules, clockwork):
        clockwork.write(s=MINUTE)
        for _ in range(3):
            clockwork.passes(seconds=60)
        assert len(schedules("history", "s", "--limit", 2).lines) == 3
        assert len(schedules("history", "s", "--since", "90s").lines) == 3
        assert schedules("history", "s", "--since", "soon").status == 1

    def test_it_outlives_the_schedule(self, schedules, clockwork):
        clockwork.write(s=MINUTE)
        clockwork.passes(seconds=60)
        clockwork.write()
        said = schedules("history", "s")
        assert len(said.lines) == 2
        assert said.err == "The schedule itself is gone.\n"
