"""What people do by hand: each on the schedule as it stands, each written down with who, why and from where."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from celery.schedules import crontab

from celeriac import Recurring
from celeriac.api import payload
from celeriac.errors import NoSchedule
from celeriac.ledger.audit import Action
from celeriac.schedules import calls as calls_module
from celeriac.schedules import operate
from celeriac.schedules.definition import skips
from celeriac.schedules.policies import MOST
from tests.schedules.conftest import ADA, MONDAY

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def actions(clockwork):
    return list(Action.objects.using(clockwork.alias).order_by("created_at", "id"))


def noted(clockwork):
    [action] = actions(clockwork)
    assert (action.actor, action.reason, action.origin, action.state) == (*ADA, "done")
    return action


class TestRun:
    def test_it_is_a_job_and_the_ticks_stay_as_they_are(self, clockwork):
        clockwork.write(s={"task": "tests.shop.tasks.add", "schedule": MINUTE, "args": (1, 2)})
        before = clockwork.row().next_tick
        tick = operate.run("s", ADA, app=clockwork.app)
        job = clockwork.jobs().get()
        assert (tick.kind, tick.outcome, tick.job) == ("now", "fired", job.id)
        assert (job.task, job.args) == ("tests.shop.tasks.add", "[1,2]")
        assert payload.decode(job.headers)["headers"]["celeriac_schedule"] == "s"
        assert (clockwork.row().next_tick, clockwork.row().last_tick) == (before, None)
        action = noted(clockwork)
        assert (action.verb, action.schedule, action.changed) == ("run", "s", 1)
        assert str(job.id) in action.selection

    def test_whatever_its_policies_say(self, clockwork):
        clockwork.write(s=Recurring(MINUTE, overlap="skip", blackout=[("00:00", "24:00")]))
        operate.pause("s", ADA)
        operate.run("s", ADA, app=clockwork.app)
        clockwork.now += timedelta(seconds=1)
        operate.run("s", ADA, app=clockwork.app)
        assert clockwork.jobs().count() == 2

    def test_at_the_instant_of_a_tick_both_are_jobs(self, clockwork):
        clockwork.write(s=MINUTE)
        clockwork.now += MINUTE
        operate.run("s", ADA, app=clockwork.app)
        clockwork.look()
        operate.run("s", ADA, app=clockwork.app)
        operate.run("s", ADA, app=clockwork.app)
        assert sorted(tick.kind for tick in clockwork.ticks()) == ["due", "now", "now", "now"]
        assert clockwork.jobs().count() == 4

    def test_what_cannot_be_a_job_changes_nothing(self, clockwork):
        clockwork.write(s={"task": "tests.shop.tasks.noop", "schedule": MINUTE, "options": {"priority": 99}})
        with pytest.raises(ValueError, match="priority"):
            operate.run("s", ADA, app=clockwork.app)
        assert (clockwork.ticks().count(), actions(clockwork)) == (0, [])

    def test_one_that_is_broken_is_refused(self, clockwork):
        clockwork.write(s={"task": "tests.shop.tasks.noop", "schedule": 0.1})
        with pytest.raises(ValueError, match=r"^Schedule s is broken: It would be due each 0\.1 s"):
            operate.run("s", ADA, app=clockwork.app)


class TestPause:
    def test_what_is_due_meanwhile_is_one_row(self, clockwork):
        clockwork.write(s=MINUTE)
        assert operate.pause("s", ADA)
        assert not operate.pause("s", ADA)
        assert clockwork.passes(minutes=5, seconds=30) == []
        assert operate.resume("s", ADA)
        assert not operate.resume("s", ADA)
        [tick] = clockwork.ticks()
        assert (tick.outcome, tick.reason, tick.count, tick.instant) == ("skipped", "paused", 5, MONDAY + 5 * MINUTE)
        clockwork.passes(seconds=30)
        assert clockwork.told()[-1] == ("12:06:00", "fired")
        assert [action.verb for action in actions(clockwork)] == ["pause", "resume"]

    def test_nothing_was_due(self, clockwork):
        clockwork.write(s=HOUR)
        operate.pause("s", ADA)
        clockwork.passes(minutes=5)
        operate.resume("s", ADA)
        assert clockwork.ticks().count() == 0
        assert clockwork.row().next_tick == MONDAY + HOUR

    def test_longer_than_anybody_counts(self, clockwork):
        clockwork.write(s=1)
        operate.pause("s", ADA)
        clockwork.now += timedelta(days=1)
        operate.resume("s", ADA)
        assert clockwork.ticks().get().count == MOST
        assert clockwork.row().next_tick == clockwork.now + timedelta(seconds=1)

    def test_who_and_why(self, clockwork):
        clockwork.write(s=MINUTE)
        operate.pause("s", ADA)
        assert noted(clockwork).verb == "pause"


class TestSkip:
    def test_the_next_one_then_the_one_after(self, clockwork):
        clockwork.write(s=HOUR)
        assert operate.skip("s", ADA) == MONDAY + HOUR
        assert operate.skip("s", ADA) == MONDAY + 2 * HOUR
        for _ in range(3):
            clockwork.passes(hours=1)
        assert clockwork.told() == [
            ("13:00:00", "skipped asked"),
            ("14:00:00", "skipped asked"),
            ("15:00:00", "fired"),
        ]
        assert skips(clockwork.row()) == set()

    def test_one_to_come_and_back(self, clockwork):
        clockwork.write(s=HOUR)
        assert operate.skip("s", ADA, instant=MONDAY + 5 * HOUR) == MONDAY + 5 * HOUR
        assert operate.unskip("s", ADA, MONDAY + 5 * HOUR)
        assert not operate.unskip("s", ADA, MONDAY + 5 * HOUR)
        assert skips(clockwork.row()) == set()
        assert [(one.verb, json.loads(one.options)) for one in actions(clockwork)] == [
            ("skip", {"instant": "2026-06-01T17:00:00+00:00"}),
            ("unskip", {"instant": "2026-06-01T17:00:00+00:00"}),
        ]

    @pytest.mark.parametrize(
        ("late", "following"), [(90 * MINUTE, "14:00:00"), (-HOUR, "13:00:00"), (HOUR + timedelta(seconds=1), "14:00")]
    )
    def test_when_it_is_not_due_the_next_time_is_named(self, clockwork, late, following):
        clockwork.write(s=HOUR)
        with pytest.raises(ValueError, match=rf"is not due at .*; the next tick is at 2026-06-01T{following}"):
            operate.skip("s", ADA, instant=MONDAY + late)

    def test_of_one_that_is_paused_no_tick_that_has_passed(self, clockwork):
        clockwork.write(s=HOUR)
        operate.pause("s", ADA)
        clockwork.now += timedelta(hours=2, minutes=30)
        assert operate.skip("s", ADA) == MONDAY + 3 * HOUR
        operate.resume("s", ADA)
        clockwork.passes(minutes=30)
        assert clockwork.told()[-1] == ("15:00:00", "skipped asked")

    def test_where_none_is_to_come(self, clockwork):
        clockwork.write(s=MINUTE)
        clockwork.rows().update(enabled=False, next_tick=None)
        with pytest.raises(ValueError, match=r"^Schedule s has no tick to come: it is disabled, or over\.$"):
            operate.skip("s", ADA)


class TestBackfill:
    def test_each_instant_that_has_had_no_job(self, clockwork):
        clockwork.write(s=crontab(minute=0))
        clockwork.passes(hours=1)  # has its job
        clockwork.now += 3 * HOUR
        since, until = MONDAY - HOUR, MONDAY + 3 * HOUR
        assert operate.to_backfill("s", since, until) == (
            [MONDAY - HOUR, MONDAY, MONDAY + 2 * HOUR, MONDAY + 3 * HOUR],
            5,
        )
        done = operate.backfill("s", since, until, ADA, app=clockwork.app)
        assert (len(done.ticks), done.there) == (4, 1)
        assert {tick.kind for tick in done.ticks} == {"backfill"}
        assert clockwork.jobs().count() == 5
        action = noted(clockwork)
        assert (action.verb, action.matched, action.changed) == ("backfill", 5, 4)
        again = operate.backfill("s", since, until, ADA, app=clockwork.app)
        assert (again.ticks, again.there) == ([], 5)

    def test_what_was_skipped_is_had(self, clockwork):
        clockwork.write(s=HOUR)
        operate.skip("s", ADA)
        clockwork.passes(hours=1)
        operate.backfill("s", MONDAY + MINUTE, MONDAY + HOUR, ADA, app=clockwork.app)
        assert clockwork.told() == [("13:00:00", "fired")]

    @pytest.mark.parametrize("hours", [(1, 1), (2, 3), (5, 5), (1, 5)])
    def test_of_several_that_were_skipped_in_a_row_the_others_stay_said(self, clockwork, hours):
        clockwork.write(s=crontab(minute=0))
        clockwork.passes(hours=6)
        assert clockwork.told() == [("17:00:00", "skipped misfire"), ("18:00:00", "fired")]
        since, until = (MONDAY + hour * HOUR for hour in hours)
        done = operate.backfill("s", since, until, ADA, app=clockwork.app)
        wanted = hours[1] - hours[0] + 1
        assert (len(done.ticks), clockwork.jobs().count()) == (wanted, wanted + 1)
        assert sum(tick.count for tick in clockwork.ticks()) == 6
        assert {tick.instant for tick in clockwork.ticks() if tick.outcome == "skipped"}.isdisjoint(
            tick.instant for tick in done.ticks
        )

    def test_one_job_that_cannot_be_made_leaves_all_as_it_was(self, clockwork, monkeypatch):
        clockwork.write(s=crontab(minute="*"))
        clockwork.now += 20 * HOUR
        calls = iter(range(10_000))

        def fails_late(*args):
            if next(calls) == 700:
                raise ValueError("no")
            return call_of(*args)

        call_of = calls_module.call_of
        monkeypatch.setattr(calls_module, "call_of", fails_late)
        with pytest.raises(ValueError, match="no"):
            operate.backfill("s", MONDAY, MONDAY + 20 * HOUR, ADA, app=clockwork.app)
        assert (clockwork.ticks().count(), clockwork.jobs().count()) == (0, 0)

    def test_what_was_backfilled_is_not_fired_again(self, clockwork):
        clockwork.write(s=HOUR)
        clockwork.now += HOUR
        operate.backfill("s", MONDAY + MINUTE, MONDAY + HOUR, ADA, app=clockwork.app)
        assert clockwork.look() == []
        assert clockwork.jobs().count() == 1

    def test_nothing_of_the_future(self, clockwork):
        clockwork.write(s=HOUR)
        assert operate.backfill("s", MONDAY + MINUTE, MONDAY + 9 * HOUR, ADA, app=clockwork.app) == ([], 0)

    def test_too_many_are_refused(self, clockwork):
        clockwork.write(s=crontab())
        with pytest.raises(ValueError, match="more than 10,000 ticks of s; take them a part at a time"):
            operate.to_backfill("s", MONDAY - timedelta(days=8), MONDAY)

    def test_with_a_lane_they_run_one_after_the_other(self, clockwork):
        clockwork.write(s=Recurring(crontab(minute=0), overlap="queue_one"))
        operate.backfill("s", MONDAY - 2 * HOUR, MONDAY, ADA, app=clockwork.app)
        assert sorted(job.state for job in clockwork.jobs()) == ["waiting", "waiting", "waiting"]

    def test_a_broken_one_is_refused(self, clockwork):
        clockwork.write(s={"task": "tests.shop.tasks.noop", "schedule": 0.1})
        with pytest.raises(ValueError, match="is broken"):
            operate.backfill("s", MONDAY - HOUR, MONDAY, ADA, app=clockwork.app)


@pytest.mark.parametrize(
    "act",
    [
        lambda: operate.find("nope"),
        lambda: operate.run("nope", ADA),
        lambda: operate.pause("nope", ADA),
        lambda: operate.resume("nope", ADA),
        lambda: operate.skip("nope", ADA),
        lambda: operate.unskip("nope", ADA, MONDAY),
        lambda: operate.backfill("nope", MONDAY, MONDAY, ADA),
    ],
    ids=["find", "run", "pause", "resume", "skip", "unskip", "backfill"],
)
def test_there_is_none_of_this_name(clockwork, act):
    with pytest.raises(NoSchedule, match="nor any other: a worker writes them here when it starts"):
        act()
    clockwork.write(none=MINUTE)
    with pytest.raises(NoSchedule, match=r"There is no schedule 'nope'\. Did you mean 'none'\?"):
        act()
    assert actions(clockwork) == []
