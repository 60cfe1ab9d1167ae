"""Run, pause, resume, skip and backfill: asked first, done by whoever may, written down."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from celeriac.admin.schedule_words import following
from celeriac.ledger.audit import Action
from celeriac.ledger.columns import BATCH
from celeriac.ledger.models import Job
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.operate import BY_HAND
from tests.admin.pages import ACTIONS, NAMED, SCHEDULES, schedule_page, text
from tests.admin.schedules import NOON, a_schedule, a_tick, crontab
from tests.shop.celery import app

pytestmark = pytest.mark.django_db(databases=["default", "lite"])

HOUR = timedelta(hours=1)
RANGE = {"since": "2026-06-01T14:00", "until": "2026-06-01T18:30"}  # in Berlin: 12:00 to 16:30 UTC


@pytest.fixture(autouse=True)
def current():
    app.set_current()


@pytest.fixture
def row(ledger) -> Schedule:
    return a_schedule("a/b")


def to(row, verb: str) -> str:
    return f"{SCHEDULES}{row.pk}/operate/{verb}/"


def fresh(row) -> Schedule:
    return Schedule.objects.using(row._state.db).get(pk=row.pk)


def actions(row) -> list[Action]:
    return list(Action.objects.using(row._state.db).order_by("created_at"))


def ticks(row):
    return Tick.objects.using(row._state.db).filter(schedule=row.name).order_by("instant")


def jobs(row) -> int:
    return Job.objects.using(row._state.db).count()


def upcoming(row, count=3) -> list[datetime]:
    return [one.instant for one in following(row, count, row.changed_at).ticks]


def done(client, row, verb, **form) -> str:
    """Do it, and return the page that follows."""
    response = client.post(to(row, verb), {**form, "confirmed": "yes"}, follow=True)
    assert response.redirect_chain == [(schedule_page(row), 302)]
    return text(response)


# -- each verb


def test_run_now_is_asked_and_done(row, operator):
    asks = text(operator.post(to(row, "run")))
    assert "whatever its policies say" in asks
    assert "tests.shop.tasks.noop" in asks
    assert (jobs(row), actions(row)) == (0, [])
    page = done(operator, row, "run", reason="the customer waits")
    [tick] = ticks(row)
    assert (tick.kind, tick.outcome) == ("now", "fired")
    assert f'A job was asked for: <a href="/admin/celeriac/job/{tick.job}/change/">' in page
    [action] = actions(row)
    assert (action.verb, action.schedule, action.actor, action.reason, action.origin) == (
        "run", "a/b", "operator", "the customer waits", "admin 192.0.2.7",
    )  # fmt: skip
    assert "the customer waits" in page


def test_what_cannot_be_run_says_why_and_leaves_nothing(row, operator):
    Schedule.objects.using(row._state.db).update(options='{"lazy":true}')
    page = done(operator, row, "run")
    assert "are computed where it is defined, and that is not here" in page
    assert (ticks(row).count(), actions(row)) == (0, [])


def test_pause_and_resume(row, operator):
    assert "Resume" not in text(operator.get(schedule_page(row)))
    assert "Paused." in done(operator, row, "pause", reason="the bank is down")
    assert fresh(row).paused_at is not None
    assert "It was paused already." in done(operator, row, "pause")
    page = text(operator.get(schedule_page(row)))
    assert "celeriac-paused" in page
    assert "Pause…" not in page
    assert "Resumed." in done(operator, row, "resume")
    assert "It was not paused." in done(operator, row, "resume")
    assert fresh(row).paused_at is None
    assert [action.verb for action in actions(row)] == ["pause", "resume"]


def test_skip_the_next_one_after_asking_and_put_it_back(row, operator):
    [first, *_] = upcoming(row)
    assert f'name="instant" value="{first.isoformat()}"' in text(operator.get(schedule_page(row)))
    assert f"{first:%Y-%m-%d %H:%M:%S} UTC" in text(operator.post(to(row, "skip"), {"instant": first.isoformat()}))
    assert fresh(row).skips == "[]"
    page = done(operator, row, "skip", instant=first.isoformat())
    assert "will be no job" in page
    assert "taken out by hand" in page
    assert json.loads(fresh(row).skips) == [first.isoformat()]
    assert "will be a job again" in done(operator, row, "unskip", instant=first.isoformat())
    assert fresh(row).skips == "[]"
    assert "was not taken out" in done(operator, row, "unskip", instant=first.isoformat())
    assert [action.verb for action in actions(row)] == ["skip", "unskip"]


def test_any_of_those_to_come_can_be_skipped(row, operator):
    third = upcoming(row)[2]
    done(operator, row, "skip", instant=third.isoformat())
    assert json.loads(fresh(row).skips) == [third.isoformat()]


def test_of_one_that_is_paused_a_tick_to_come_is_skipped_and_none_that_passed(row, operator):
    """What passed while it was paused will be no job anyway."""
    Schedule.objects.using(row._state.db).update(paused_at=NOON, next_tick=NOON)
    [first, *_] = upcoming(fresh(row))
    assert first > row.changed_at
    done(operator, row, "skip", instant=first.isoformat())
    assert json.loads(fresh(row).skips) == [first.isoformat()]
    assert "is not due at" in done(operator, row, "skip", instant=NOON.isoformat())


@pytest.mark.parametrize("instant", ["", "x", "2026-06-01T12:00", "0001-01-01T00:00+00:00", "9" * 400, "\0"])
def test_an_instant_that_is_none_is_refused(row, operator, instant):
    for verb in ("skip", "unskip"):
        assert "nothing was done" in done(operator, row, verb, instant=instant)
    assert actions(row) == []


@pytest.mark.parametrize("instant", [NOON, NOON + timedelta(days=9000, seconds=1)])
def test_an_instant_at_which_it_is_not_due_is_refused(row, operator, instant):
    assert "is not due at" in done(operator, row, "skip", instant=instant.isoformat())
    assert actions(row) == []


# -- backfill


@pytest.fixture
def berlin(ledger) -> Schedule:
    return a_schedule("berlin", timing=crontab("0", "*"))


def test_backfill_asks_from_when_to_when_then_says_how_many_then_does_it(berlin, operator):
    a_tick("berlin", NOON, outcome="succeeded")
    a_tick("berlin", NOON + HOUR, outcome="skipped", reason="paused")
    asks = text(operator.post(to(berlin, "backfill")))
    assert "On the clock of Europe/Berlin." in asks
    assert 'type="datetime-local"' in asks
    shown = text(operator.post(to(berlin, "backfill"), {**RANGE, "reason": "the outage"}))
    assert "<strong>4 ticks</strong>" in shown
    assert "1 had one already, and is left alone" in shown
    assert "Ask for 4 jobs" in shown
    assert 'title="2026-06-01 13:00:00 UTC">2026-06-01 15:00:00 CEST' in shown
    assert (jobs(berlin), ticks(berlin).count(), actions(berlin)) == (0, 2, [])
    page = done(operator, berlin, "backfill", **RANGE, reason="the outage")
    assert "4 jobs were asked for. 1 had one already." in page
    assert [tick.instant for tick in ticks(berlin)] == [NOON + n * HOUR for n in range(5)]
    assert [tick.kind for tick in ticks(berlin)] == ["due"] + ["backfill"] * 4
    [action] = actions(berlin)
    assert (action.verb, action.reason, action.matched, action.changed) == ("backfill", "the outage", 5, 4)
    again = done(operator, berlin, "backfill", **RANGE)
    assert "0 jobs were asked for. 5 had one already." in again


def test_back_to_the_moments_before_it_is_done(berlin, operator):
    page = text(operator.post(to(berlin, "backfill"), {**RANGE, "reason": "r", "again": "yes"}))
    assert "Show which ticks" in page
    for value in (*RANGE.values(), "r"):
        assert f'value="{value}"' in page
    assert jobs(berlin) == 0


def test_where_no_tick_is_there_is_nothing_to_confirm(berlin, operator):
    page = text(operator.post(to(berlin, "backfill"), {"since": "2026-06-01T14:01", "until": "2026-06-01T14:59"}))
    assert "There is nothing to do" in page
    assert "confirmed" not in page


def test_ticks_to_come_are_no_backfill(ledger, operator):
    row = a_schedule("s")
    now = ledger.now().astimezone(UTC).replace(tzinfo=None)
    form = {"since": (now - HOUR).isoformat(), "until": (now + timedelta(days=3)).isoformat()}
    assert "<strong>1 tick</strong>" in text(operator.post(to(row, "backfill"), form))


@pytest.mark.parametrize(
    ("since", "until", "first", "last"),
    [
        ("2025-10-26T02:30", "2025-10-26T02:30", "00:30:00", "01:30:00"),  # the clock shows it twice
        ("2025-03-30T02:30", "2025-03-30T02:30", "01:00:00", "01:00:00"),  # and never
        ("2025-07-01T02:30+05:30", "2025-07-01T02:30Z", "21:00:00", "02:30:00"),  # an offset that is said counts
    ],
)
def test_the_moments_are_the_clocks_of_the_schedule(ledger, operator, since, until, first, last):
    row = a_schedule("s", timing=crontab("30", "*"), anchor=NOON - timedelta(days=999))
    page = text(operator.post(to(row, "backfill"), {"since": since, "until": until}))
    [began, ended] = [
        part.split(" UTC")[0].split()[1] for part in page.partition("</strong> from")[2].split('title="')[1:3]
    ]
    assert (began, ended) == (first, last)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"since": "x"}, "Write it as"),
        ({"until": ""}, "This field is required"),
        ({"since": "0001-01-01T00:00"}, "Write it as"),
        ({"until": "9999-12-31T23:59"}, "Write it as"),
        ({"since": "2026-06-02T00:00"}, "It ends before it begins"),
        ({"since": "2020-06-02T00:00"}, "more than 10,000 ticks"),
        ({"reason": "x" * 1001}, "at most 1000 characters"),
        ({"since": "\0"}, "This field is required"),
    ],
)
def test_what_is_wrong_with_the_moments_is_told_at_its_field(berlin, operator, form, told):
    for confirmed in ({}, {"confirmed": "yes"}):
        page = text(operator.post(to(berlin, "backfill"), {**RANGE, **form, **confirmed}))
        _, found, after = page.partition("errorlist")
        assert found
        assert told in after
    assert (jobs(berlin), actions(berlin)) == (0, [])


def test_a_backfill_of_more_than_a_batch_is_done_at_once(ledger, operator):
    row = a_schedule("s", timing='{"every":1.0}')
    form = {
        "since": "2026-06-01T12:00:01",
        "until": (NOON + timedelta(seconds=BATCH + 1)).strftime("%Y-%m-%dT%H:%M:%S"),
    }
    assert f"{BATCH + 1:,} jobs were asked for." in done(operator, row, "backfill", **form)
    assert jobs(row) == BATCH + 1


# -- who may, and how


@pytest.mark.parametrize("verb", BY_HAND)
def test_without_the_permission_nothing_is_offered_and_nothing_done(row, viewer, verb):
    before = fresh(row).__dict__
    page = text(viewer.get(schedule_page(row)))
    assert "/operate/" not in page
    form = {"confirmed": "yes", "instant": upcoming(row)[0].isoformat(), **RANGE}
    assert viewer.post(to(row, verb), form).status_code == 403
    assert {**fresh(row).__dict__, "_state": 0} == {**before, "_state": 0}
    assert (jobs(row), actions(row)) == (0, [])


@pytest.mark.parametrize("verb", BY_HAND)
def test_get_changes_nothing_and_a_post_needs_the_token(row, operator, verb):
    form = {"confirmed": "yes", "instant": upcoming(row)[0].isoformat(), **RANGE}
    assert operator.get(to(row, verb), form).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    assert strict.post(to(row, verb), form).status_code == 403
    assert (jobs(row), actions(row), fresh(row).paused_at, fresh(row).skips) == (0, [], None, "[]")


def test_a_verb_or_a_schedule_that_is_none_is_404(row, operator):
    assert operator.post(to(row, "delete")).status_code == 404
    Schedule.objects.using(row._state.db).all().delete()
    for verb in BY_HAND:
        assert operator.post(to(row, verb), {"confirmed": "yes", **RANGE}).status_code == 404


# -- the pages of actions


def test_actions_say_which_schedule_and_what_was_said_besides(berlin, operator, viewer):
    instant = upcoming(berlin)[0]
    done(operator, berlin, "pause", reason="<b>why")
    done(operator, berlin, "skip", instant=instant.isoformat())
    done(operator, berlin, "run")
    done(operator, berlin, "backfill", **RANGE)
    page = text(viewer.get(ACTIONS))
    assert page.count(f'schedule <a href="{NAMED}?name=berlin">berlin</a>') == 4
    assert "&lt;b&gt;why" in page
    assert "5 of 5" in page
    assert "0 of 0" not in page
    told = {action.verb: text(viewer.get(f"{ACTIONS}{action.pk}/change/")) for action in actions(berlin)}
    assert "<progress" not in told["pause"] + told["skip"]
    assert f"{instant:%Y-%m-%d %H:%M:%S} UTC" in told["skip"]
    assert "2026-06-01 12:00:00 UTC" in told["backfill"]
    assert "2026-06-01 16:30:00 UTC" in told["backfill"]
    assert "5 of 5" in told["backfill"]
    assert told["run"].count("tests.shop.tasks.noop") == 1
    assert told["backfill"].count("tests.shop.tasks.noop") == 5
    for page in told.values():
        assert f"{NAMED}?name=berlin" in page
    Job.objects.using(berlin._state.db).all().delete()
    [ran] = [action for action in actions(berlin) if action.verb == "run"]
    assert "its row is deleted" in text(viewer.get(f"{ACTIONS}{ran.pk}/change/"))
