"""django-celery-beat's tables: read as its users mean them, however they were changed, and told what fired."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab
from django.db import OperationalError, connections
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from django_celery_beat.schedulers import ModelEntry

from celeriac.api import payload
from celeriac.schedules import sync, tables
from celeriac.schedules.definition import next_of
from tests.schedules.conftest import MONDAY
from tests.shop.tasks import noop

NOOP = noop.name  # imported, it is registered


class Router:
    """django-celery-beat's tables are on the ledger's database, whichever a test has."""

    alias = "default"

    def db_for_read(self, model, **_):
        return self.alias if model._meta.app_label == "django_celery_beat" else None

    db_for_write = db_for_read


@pytest.fixture
def beat(clockwork, settings) -> Iterator[Beat]:
    Router.alias = clockwork.alias
    settings.DATABASE_ROUTERS = ["tests.schedules.test_tables.Router"]
    return Beat(clockwork)


class Beat:
    """The tables, and a worker that leads."""

    def __init__(self, clockwork) -> None:
        self.clockwork = clockwork

    def add(self, name="t", *, every=None, cron=None, zone="UTC", sun=None, at=None, **fields) -> PeriodicTask:
        if every is not None:
            fields["interval"], _ = IntervalSchedule.objects.get_or_create(every=every[0], period=every[1])
        if cron is not None:
            minute, hour, day, month, weekday = cron.split()
            fields["crontab"] = CrontabSchedule.objects.create(
                minute=minute, hour=hour, day_of_month=day, month_of_year=month, day_of_week=weekday, timezone=zone
            )
        if sun is not None:
            fields["solar"] = SolarSchedule.objects.create(event=sun, latitude=52.5, longitude=13.4)
        if at is not None:
            fields["clocked"], fields["one_off"] = ClockedSchedule.objects.create(clocked_time=at), True
        return PeriodicTask.objects.create(name=name, **{"task": NOOP, **fields})

    def sync(self) -> int:
        return sync.sync_tables(self.clockwork.app)

    def row(self, name="t"):
        return self.clockwork.row(name)

    def sql(self, statement, *params) -> None:
        with connections[self.clockwork.alias].cursor() as cursor:
            cursor.execute(statement, params)

    def fired(self, **time: float):
        """Let time pass and a scheduler look; return the ticks, with the tables told of them."""
        ticks = self.clockwork.passes(**time)
        runs = {}
        for tick in ticks:
            runs[tick.schedule] = runs.get(tick.schedule, 0) + (tick.outcome == "fired")
        tables.note_fired(runs, [name for name in runs if self.row(name).once])  # as after the commit
        return ticks


def following(beat, name="t"):
    return next_of(beat.row(name), MONDAY).isoformat()


# -- what a row says


@pytest.mark.parametrize(
    ("period", "seconds"), [("days", 172800), ("hours", 7200), ("minutes", 120), ("seconds", 2), ("microseconds", None)]
)
def test_an_interval_in_each_period(beat, period, seconds):
    beat.add(every=(2, period))
    beat.sync()
    if seconds is None:
        assert "once a second is the most" in beat.row().trouble
    else:
        assert beat.row().next_tick == MONDAY + timedelta(seconds=seconds)


def test_a_crontab_in_its_zone(beat):
    beat.add(cron="30 9 * * mon-fri", zone="Asia/Kolkata")
    beat.sync()
    assert beat.row().next_tick == datetime(2026, 6, 2, 4, 0, tzinfo=UTC)


def test_a_solar_event(beat):
    beat.add(sun="sunset")
    beat.sync()
    assert f"{beat.row().next_tick:%Y-%m-%d %H}" == "2026-06-01 19"  # 21:20 in Berlin


def test_a_clocked_time_is_one_job_and_the_end(beat):
    beat.add(at=MONDAY + timedelta(minutes=5))
    beat.sync()
    [tick] = beat.fired(minutes=6)
    assert tick.outcome == "fired"
    shown = PeriodicTask.objects.get()
    assert (shown.enabled, shown.last_run_at is not None) == (False, True)
    beat.sync()
    assert beat.fired(days=1) == []


@pytest.mark.parametrize("ago", [timedelta(seconds=1), timedelta(days=400)])
def test_a_clocked_time_that_is_past_already_is_due_at_once_and_once(beat, ago):
    """As with django-celery-beat's scheduler: "at once" is past when somebody looks."""
    beat.add(at=MONDAY - ago)
    beat.sync()
    [tick] = beat.fired(seconds=1)
    assert (tick.outcome, tick.instant) == ("fired", MONDAY - ago)
    beat.sync()
    PeriodicTask.objects.update(enabled=True)
    beat.sync()
    assert beat.fired(seconds=5) == []


def test_one_off_is_one_job(beat):
    beat.add(every=(1, "minutes"), one_off=True)
    beat.sync()
    [tick] = beat.fired(minutes=3)
    assert (tick.instant, tick.outcome) == (MONDAY + timedelta(minutes=1), "fired")
    beat.sync()
    assert (beat.row().enabled, beat.row().next_tick, beat.clockwork.jobs().count()) == (False, None, 1)


def test_one_off_waits_for_an_instant_at_which_it_may_fire(beat):
    policy = {"celeriac": {"blackout": [["12:00", "12:03"]]}}
    beat.add(every=(1, "minutes"), one_off=True, headers=json.dumps(policy))
    beat.sync()
    beat.fired(minutes=5)
    assert beat.clockwork.told() == [
        ("12:01:00", "skipped blackout"),
        ("12:02:00", "skipped blackout"),
        ("12:03:00", "fired"),
    ]


def test_one_off_enabled_again_is_one_more(beat):
    beat.add(every=(1, "minutes"), one_off=True)
    beat.sync()
    beat.fired(minutes=1)
    beat.sync()
    PeriodicTask.objects.update(enabled=True)
    beat.sync()
    beat.fired(minutes=1)
    assert beat.clockwork.jobs().count() == 2


def test_from_a_start_time_on(beat):
    start = MONDAY + timedelta(hours=3, minutes=7)
    beat.add("every", every=(1, "hours"), start_time=start)
    beat.add("cron", cron="0 * * * *", start_time=start)
    beat.sync()
    assert following(beat, "every") == start.isoformat()
    assert following(beat, "cron") == "2026-06-01T16:00:00+00:00"


def test_a_start_that_passed_between_the_edit_and_the_look_is_not_lost(beat):
    beat.add(every=(1, "hours"), start_time=MONDAY - timedelta(seconds=2))
    PeriodicTask.objects.update(date_changed=MONDAY - timedelta(seconds=4))
    beat.sync()
    [tick] = beat.fired(seconds=0)
    assert tick.instant == MONDAY - timedelta(seconds=2)


def test_what_was_due_long_before_is_no_job_when_it_is_first_seen(beat):
    beat.add(every=(1, "hours"), start_time=MONDAY - timedelta(days=400))
    beat.sync()
    assert beat.row().next_tick == MONDAY + timedelta(hours=1)


def test_expires_is_the_end_and_the_jobs(beat):
    beat.add(every=(1, "minutes"), expires=MONDAY + timedelta(seconds=150))
    beat.sync()
    ticks = beat.fired(seconds=60) + beat.fired(minutes=1) + beat.fired(minutes=1)
    assert [f"{tick.instant:%M}" for tick in ticks] == ["01", "02"]
    assert beat.row().next_tick is None
    assert {job.expires_at for job in beat.clockwork.jobs()} == {MONDAY + timedelta(seconds=150)}


def test_expire_seconds_is_the_jobs(beat):
    beat.add(every=(1, "minutes"), expire_seconds=90)
    beat.sync()
    beat.fired(minutes=1)
    job = beat.clockwork.jobs().get()
    assert 85 <= (job.expires_at - job.created_at).total_seconds() <= 95
    assert beat.row().ends_at is None


def test_arguments_and_options_reach_the_job(beat):
    beat.add(
        every=(1, "minutes"),
        task="tests.shop.tasks.together",
        args="[1, null]",
        kwargs='{"a": {"b": 2}}',
        queue="parcels",
        priority=7,
        headers='{"tenant": "acme", "celeriac": {"overlap": "skip", "within": 30}}',
        description="to the moon",
    )
    beat.sync()
    beat.fired(minutes=1)
    job = beat.clockwork.jobs().get()
    assert (job.task, job.args, job.kwargs) == ("tests.shop.tasks.together", "[1,null]", '{"a":{"b":2}}')
    assert (job.queue, job.priority) == ("parcels", 7)
    headers = payload.decode(job.headers)["headers"]
    assert (headers["tenant"], headers["periodic_task_name"], "celeriac" in headers) == ("acme", "t", False)
    assert payload.decode(beat.row().policy) == {"overlap": "skip", "within": 30, "zone": "UTC"}
    assert beat.row().description == "to the moon"


def test_an_exchange_and_a_routing_key_are_kept(beat):
    beat.add(every=(1, "minutes"), exchange="letters", routing_key="express")
    beat.sync()
    assert payload.decode(beat.row().options) == {
        "exchange": "letters",
        "routing_key": "express",
        "headers": {"periodic_task_name": "t"},
    }


def test_one_that_is_disabled_is_never_due(beat):
    beat.add(every=(1, "minutes"), enabled=False)
    beat.sync()
    assert beat.row().next_tick is None
    assert beat.fired(hours=1) == []


# -- what is wrong with a row


BROKEN = [
    ("UPDATE django_celery_beat_crontabschedule SET timezone = 'Mars/Olympus'", "no time zone 'Mars/Olympus'"),
    ("UPDATE django_celery_beat_crontabschedule SET minute = 'often'", "often"),
    ("UPDATE django_celery_beat_crontabschedule SET hour = '25'", "25"),
    (
        "UPDATE django_celery_beat_crontabschedule SET day_of_month = '30', month_of_year = '2'",
        "never occurs in month_of_year",
    ),
    ("UPDATE django_celery_beat_periodictask SET crontab_id = NULL WHERE name = 't'", "It has no schedule"),
    ("UPDATE django_celery_beat_periodictask SET args = '[1,' WHERE name = 't'", "Expecting value"),
    ("UPDATE django_celery_beat_periodictask SET args = '5' WHERE name = 't'", "no JSON list"),
    ("UPDATE django_celery_beat_periodictask SET kwargs = '[]' WHERE name = 't'", "no JSON object"),
    ("UPDATE django_celery_beat_periodictask SET headers = '7' WHERE name = 't'", "no JSON object"),
    (
        """UPDATE django_celery_beat_periodictask SET headers = '{"celeriac": {"overlap": 1}}' WHERE name = 't'""",
        "overlap is one of",
    ),
    (
        """UPDATE django_celery_beat_periodictask SET headers = '{"celeriac": 1}' WHERE name = 't'""",
        "Policies are a dict",
    ),
    (
        "UPDATE django_celery_beat_intervalschedule SET period = 'fortnights'",
        "fortnights",
    ),
    ("UPDATE django_celery_beat_intervalschedule SET period = 'days', every = 2000000000", "days"),
    ("UPDATE django_celery_beat_intervalschedule SET every = 0", "once a second"),
]


@pytest.mark.parametrize(("edit", "why"), BROKEN)
def test_a_row_that_makes_no_sense_says_why_and_is_not_in_the_way_of_others(beat, edit, why):
    if "intervalschedule" in edit:
        beat.add(every=(5, "seconds"))
    else:
        beat.add(cron="0 4 * * *")
    beat.add("sound", sun="sunset")
    beat.sync()
    beat.sql(edit)
    beat.sync()
    assert why in beat.row().trouble
    assert beat.row().next_tick is None
    assert (beat.row("sound").trouble, beat.row("sound").next_tick is None) == ("", False)


def test_a_task_that_nobody_knows_is_said(beat):
    beat.add(every=(5, "minutes"), task="shop.gone")
    beat.sync()
    assert "'shop.gone' is registered" in beat.row().trouble
    assert beat.row().next_tick is not None


# -- how it is changed


def by_save(task):
    task.priority = 5
    task.save()


def by_update(task):
    PeriodicTask.objects.filter(pk=task.pk).update(priority=5)


def by_bulk(task):
    task.priority = 5
    PeriodicTask.objects.bulk_update([task], ["priority"])


def by_hand(task):
    with connections[Router.alias].cursor() as cursor:
        cursor.execute("UPDATE django_celery_beat_periodictask SET priority = 5")


def by_its_crontab(task):
    CrontabSchedule.objects.update(minute="7")


def by_deletion(task):
    task.delete()


def by_hard_deletion(task):
    PeriodicTask.objects.all()._raw_delete(Router.alias)


def by_another(task):
    PeriodicTask.objects.bulk_create([PeriodicTask(name="u", task=NOOP, crontab=task.crontab)])


@pytest.mark.parametrize(
    "change",
    [by_save, by_update, by_bulk, by_hand, by_its_crontab, by_deletion, by_hard_deletion, by_another],
)
def test_each_way_to_change_a_row_is_seen(beat, change):
    task = beat.add(cron="0 4 * * *")
    beat.sync()
    seen = tables.fingerprint()
    assert tables.fingerprint() == seen
    change(task)
    assert tables.fingerprint() != seen
    assert beat.sync() == 1
    assert beat.sync() == 0


def test_reading_many_leaves_time_for_what_is_due(beat):
    beat.clockwork.write(s=60)
    for n in range(5):
        beat.add(f"t{n}", every=(n + 1, "hours"))
    beat.clockwork.now += timedelta(seconds=60)
    ticks = []
    sync.sync_tables(beat.clockwork.app, lambda: ticks.extend(beat.clockwork.look()))
    assert [tick.schedule for tick in ticks] == ["s"]
    assert beat.clockwork.rows().count() == 6


def test_rows_that_share_a_crontab_are_due_together_and_each_has_its_own_policy(beat):
    shared = beat.add("a", cron="0 4 * * *", zone="Asia/Tokyo").crontab
    beat.add("b", crontab=shared, headers='{"celeriac": {"jitter": 5}}')
    beat.sync()
    assert beat.row("a").timing == beat.row("b").timing
    assert [payload.decode(beat.row(name).policy) for name in "ab"] == [{}, {"jitter": 5, "zone": "Asia/Tokyo"}]


def test_what_fired_changes_no_fingerprint_but_the_end_of_a_one_off_does(beat):
    beat.add(every=(1, "minutes"))
    beat.add("once", every=(1, "minutes"), one_off=True)
    seen = tables.fingerprint()
    tables.note_fired({"t": 1}, [])
    assert tables.fingerprint() == seen
    tables.note_fired({"once": 1}, ["once"])
    assert tables.fingerprint() != seen


def test_its_admin_shows_when_and_how_often_it_ran(beat):
    beat.add(every=(1, "minutes"), headers='{"celeriac": {"misfire": "all"}}')
    beat.add("idle", every=(1, "hours"))
    beat.sync()
    beat.fired(minutes=5)
    ran, idle = PeriodicTask.objects.order_by("-name")
    assert (ran.total_run_count, ran.last_run_at is not None) == (5, True)
    assert (idle.total_run_count, idle.last_run_at) == (0, None)


def test_a_deleted_row_is_gone_and_its_history_stays(beat):
    beat.add(every=(1, "minutes"))
    beat.sync()
    beat.fired(minutes=1)
    PeriodicTask.objects.all().delete()
    assert beat.sync() == 1
    assert not beat.clockwork.rows().exists()
    assert beat.clockwork.ticks().count() == 1


# -- beside the settings


def copied(beat, **entries):
    """Let django-celery-beat's scheduler copy the settings' entries, as it does when it starts."""
    for name, entry in entries.items():
        ModelEntry.from_entry(name, app=beat.clockwork.app, **entry)


def test_of_a_copied_entry_the_settings_say_what_and_the_table_whether(beat):
    beat.clockwork.write(s=crontab(minute=5))
    copied(beat, s={"task": NOOP, "schedule": crontab(minute=5)})
    assert beat.sync() == 0
    PeriodicTask.objects.update(enabled=False, task="shop.other")
    beat.sync()
    row = beat.row("s")
    assert (row.source, row.task, row.enabled, row.next_tick) == ("settings", NOOP, False, None)
    beat.clockwork.write(s=crontab(minute=6))  # another worker starts, with newer code
    assert (beat.row("s").enabled, beat.row("s").next_tick) == (False, None)
    PeriodicTask.objects.update(enabled=True)
    beat.sync()
    assert following(beat, "s") == "2026-06-01T12:06:00+00:00"


def test_a_name_that_the_settings_take_over_stays_disabled(beat):
    beat.add("s", every=(1, "minutes"), enabled=False)
    beat.sync()
    beat.clockwork.write(s=crontab(minute=5))
    assert (beat.row("s").source, beat.row("s").enabled, beat.row("s").next_tick) == ("settings", False, None)


def test_a_name_that_the_settings_give_up_is_the_tables_again(beat):
    beat.add("s", every=(1, "minutes"))
    beat.clockwork.write(s=crontab(minute=5))
    beat.sync()
    beat.clockwork.write()
    beat.sync()
    assert (beat.row("s").source, json.loads(beat.row("s").timing)) == ("table", {"every": 60.0})


def test_without_the_tables_the_settings_say_whether_too(beat, settings):
    beat.clockwork.write(s=60)
    copied(beat, s={"task": NOOP, "schedule": 60})
    PeriodicTask.objects.update(enabled=False)
    beat.sync()
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "django_celery_beat"]
    beat.clockwork.write(s=60)
    assert beat.row("s").enabled


@pytest.mark.parametrize(("error", "is_traced"), [(OperationalError("away"), False), (ValueError("bug"), True)])
def test_what_cannot_be_noted_has_fired_all_the_same(
    beat, django_capture_on_commit_callbacks, monkeypatch, caplog, error, is_traced
):
    """An outage just after the commit is no bug, and no page of the log."""

    def fails(*_):
        raise error

    monkeypatch.setattr(tables, "note_fired", fails)
    beat.clockwork.write(s=60)
    copied(beat, s={"task": NOOP, "schedule": 60})
    with django_capture_on_commit_callbacks(using=beat.clockwork.alias, execute=True):
        assert len(beat.clockwork.passes(minutes=1)) == 1
    [told] = [record for record in caplog.records if "could not be noted" in record.message]
    assert bool(told.exc_info) == is_traced


def test_a_copied_entry_shows_its_runs_too(beat, django_capture_on_commit_callbacks):
    beat.clockwork.write(s=60)
    copied(beat, s={"task": NOOP, "schedule": 60})
    with django_capture_on_commit_callbacks(using=beat.clockwork.alias, execute=True):
        beat.clockwork.passes(minutes=1)
    assert PeriodicTask.objects.get().total_run_count == 1


# -- and stock


@pytest.mark.parametrize(
    ("how", "differs"),
    [
        ({"cron": "*/10 * * * *"}, False),
        ({"cron": "30 9 * * mon-fri", "zone": "Asia/Kolkata"}, False),
        ({"cron": "0 0 1 */3 *", "zone": "America/New_York"}, False),
        ({"cron": "15,45 22-23 * * 0", "zone": "Pacific/Auckland"}, False),
        ({"cron": "0 3 29 2 *"}, False),
        ({"every": (10, "minutes")}, False),
        ({"every": (2, "days")}, False),
        ({"sun": "sunset"}, False),
        # To a second: django-celery-beat's counts seconds up from whenever it looks.
        ({"at": MONDAY + timedelta(hours=7)}, False),
        # Theirs is due when the start has passed, whenever the last run was, ours each hour from it on.
        ({"every": (1, "hours"), "start_time": MONDAY + timedelta(minutes=30)}, True),
    ],
)
def test_the_next_instant_is_that_of_django_celery_beats_scheduler(beat, how, differs):
    """Both from the same last run, at MONDAY; intervals count from there."""
    task = beat.add(**how)
    beat.sync()
    task.refresh_from_db()
    task.last_run_at = MONDAY
    entry = ModelEntry(task, app=beat.clockwork.app)
    if hasattr(entry.schedule, "nowfun"):
        entry.schedule.nowfun = lambda: MONDAY.astimezone(getattr(entry.schedule, "tz", ZoneInfo("UTC")))
    theirs = MONDAY + entry.schedule.remaining_estimate(MONDAY)
    ours = next_of(beat.row(), MONDAY)
    assert (abs(theirs - ours) >= timedelta(seconds=60)) is differs
