"""What a project's code says of schedules, as it is written for stock Celery, and what is wrong with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from celery.beat import BeatLazyFunc, ScheduleEntry
from celery.schedules import crontab, schedule, solar
from django_celery_beat.tzcrontab import TzAwareCrontab
from tzlocal import get_localzone_name

from celeriac import Celery, Recurring
from celeriac.api import payload
from celeriac.schedules import sources
from celeriac.schedules.definition import next_of
from tests.schedules.conftest import MONDAY

NOOP = "tests.sources.noop"


def body(*_):
    pass


def an_app(entries=None, **conf):
    app = Celery("sources", set_as_current=False)
    app.conf.update(conf)
    app.conf.beat_schedule = entries if entries is not None else {}
    app.task(name=NOOP, shared=False)(body)
    return app


def read(schedule_, *, conf=None, **more):
    """The definition of an entry that says this."""
    app = an_app({"s": {"task": NOOP, "schedule": schedule_, **more}}, **(conf or {}))
    [one] = sources.in_code(app)
    return one


def first(one, after=MONDAY):
    return next_of(one, after, MONDAY).isoformat()


class Holidays(crontab):
    def is_due(self, last_run_at):
        return super().is_due(last_run_at)


class Moody(schedule):
    def remaining_estimate(self, last_run_at):
        return timedelta(seconds=7)


# -- when


@pytest.mark.parametrize(
    ("said", "following"),
    [
        (30, "2026-06-01T12:00:30+00:00"),
        (1.5, "2026-06-01T12:00:01.500000+00:00"),
        (timedelta(hours=2), "2026-06-01T14:00:00+00:00"),
        (schedule(90), "2026-06-01T12:01:30+00:00"),
        (crontab(), "2026-06-01T12:01:00+00:00"),
        (crontab(minute="*/15", hour="3,17", day_of_week="tue-thu"), "2026-06-02T03:00:00+00:00"),
        (crontab("0", "0", "*", "29", "2"), "2028-02-29T00:00:00+00:00"),
        (crontab(minute={5, 10}, hour=[13]), "2026-06-01T13:05:00+00:00"),
        (solar("solar_noon", 0, 0), "2026-06-02T11:57"),
    ],
)
def test_each_form_that_celery_takes(said, following):
    one = read(said)
    assert one.trouble == ""
    assert first(one).startswith(following)


@pytest.mark.parametrize(
    ("conf", "zone"),
    [
        ({}, "UTC"),
        ({"timezone": "Asia/Kolkata"}, "Asia/Kolkata"),
        ({"timezone": "Asia/Kolkata", "enable_utc": False}, "Asia/Kolkata"),
    ],
)
def test_a_crontab_is_of_the_apps_time_zone(conf, zone):
    one = read(crontab(hour=7, minute=30), conf=conf)
    assert json.loads(one.timing)["zone"] == zone
    following = next_of(one, MONDAY).astimezone(ZoneInfo(zone))
    assert (following.hour, following.minute) == (7, 30)


def test_without_utc_and_a_zone_it_is_the_machines():
    one = read(crontab(hour=7), conf={"enable_utc": False})
    assert json.loads(one.timing)["zone"] == get_localzone_name()


def test_a_crontab_may_have_a_zone_of_its_own():
    one = read(TzAwareCrontab(minute="0", hour="9", tz=ZoneInfo("Asia/Tokyo")))
    assert first(one) == "2026-06-02T00:00:00+00:00"


@pytest.mark.parametrize("said", [timedelta(hours=1), schedule(timedelta(hours=1), relative=True)])
def test_relative_is_on_the_hour(said):
    one = read(said, **({} if isinstance(said, schedule) else {"relative": True}), conf={"timezone": "Asia/Kolkata"})
    assert first(one, datetime(2026, 6, 1, 12, 7, tzinfo=UTC)) == "2026-06-01T12:30:00+00:00"  # 18:00 there


@pytest.mark.parametrize("day", ["2026-01-10", "2026-07-10"])
def test_relative_days_begin_at_midnight_on_the_clock(day):
    one = read(timedelta(days=1), relative=True, conf={"timezone": "Europe/Berlin"})
    following = next_of(one, datetime.fromisoformat(f"{day}T09:00+00:00")).astimezone(ZoneInfo("Europe/Berlin"))
    assert (following.hour, following.minute) == (0, 0)


# -- what


def test_arguments_and_options_stay_as_they_are():
    options = {
        "queue": "parcels",
        "priority": 3,
        "expires": 60,
        "headers": {"tenant": "a"},
        "time_limit": 5,
        "countdown": 2,
        "routing_key": "r",
        "exchange": "e",
        "ignore_result": True,
    }
    one = read(60, args=(1, MONDAY), kwargs={"a": {1, 2}}, options=options)
    assert payload.decode(one.args) == [1, MONDAY]
    assert payload.decode(one.kwargs) == {"a": {1, 2}}
    assert payload.decode(one.options) == options
    assert (one.source, one.origin, one.task, one.trouble) == ("settings", "sources", NOOP, "")


def test_an_entry_of_celerys_own_class_is_one():
    app = an_app()
    app.conf.beat_schedule = {"s": ScheduleEntry("s", NOOP, schedule=60, args=(1,), app=app)}
    [one] = sources.in_code(app)
    assert (one.trouble, one.task, one.args, json.loads(one.timing)) == ("", NOOP, "[1]", {"every": 60.0})


def test_what_django_celery_beats_scheduler_takes_beside():
    start, end = datetime(2026, 6, 2, tzinfo=UTC), datetime(2026, 6, 3, tzinfo=UTC)
    one = read(
        60, description="d", one_off=True, start_time=start, expires=end, options={"queue": "q", "expire_seconds": 9}
    )
    assert (one.trouble, one.description, one.once, one.starts_at, one.ends_at) == ("", "d", True, start, end)
    assert payload.decode(one.options) == {"queue": "q", "expires": 9}
    assert next_of(one, MONDAY, MONDAY) == start


def test_lazy_arguments_are_computed_at_each_tick():
    numbers = iter(range(10))
    lazy = BeatLazyFunc(lambda: next(numbers))
    app = an_app({"s": {"task": NOOP, "schedule": 60, "args": (lazy, "x"), "kwargs": {"n": lazy}}})
    [one] = sources.in_code(app)
    assert (one.args, one.kwargs, payload.decode(one.options)) == ("[]", "{}", {"lazy": True})
    assert sources.lazy_arguments(app, "s") == ([0, "x"], {"n": 1})
    with pytest.raises(LookupError, match="'gone'"):
        sources.lazy_arguments(app, "gone")


def test_a_tasks_own_schedule_may_be_lazy_too():
    app = an_app()
    said = Recurring(60, args=(BeatLazyFunc(lambda: 7),), name="sevens")
    app.task(name="tests.sources.lazy", shared=False, schedule=said)(body)
    assert [one.name for one in sources.in_code(app)] == ["sevens"]
    assert sources.lazy_arguments(app, "sevens") == ([7], {})


# -- of tasks


def test_a_task_says_when_itself():
    app = an_app()
    app.task(name="tests.sources.plain", shared=False, schedule=crontab(minute=0))(body)
    more = Recurring(60, args=(1,), options={"priority": 2}, overlap="skip", jitter=5, name="other")
    app.task(name="tests.sources.more", shared=False, schedule=more)(body)
    other, plain = sorted(sources.in_code(app))
    assert (plain.name, plain.source, plain.task) == ("tests.sources.plain", "task", "tests.sources.plain")
    assert (other.name, other.task, other.args) == ("other", "tests.sources.more", "[1]")
    assert payload.decode(other.policy) == {"overlap": "skip", "jitter": 5, "zone": "UTC"}
    assert payload.decode(other.options) == {"priority": 2}


def test_of_two_with_one_name_the_settings_count_and_say_so():
    app = an_app({"mine": {"task": NOOP, "schedule": 60}})
    app.task(name="tests.sources.two", shared=False, schedule=Recurring(30, name="mine"))(body)
    [one] = sources.in_code(app)
    assert (one.source, json.loads(one.timing)) == ("settings", {"every": 60.0})
    assert "tests.sources.two" in one.trouble
    assert "left out" in one.trouble


# -- what is wrong


NEVER = [
    ({"task": NOOP, "schedule": 0.5}, "each 0.5 s"),
    ({"task": NOOP, "schedule": 0}, "each 0 s"),
    ({"task": NOOP, "schedule": -5}, "once a second"),
    ({"task": NOOP, "schedule": "5 minutes"}, "no schedule"),
    ({"task": NOOP, "schedule": True}, "no schedule"),
    ({"task": NOOP, "schedule": None}, "no schedule"),
    ({"task": NOOP, "schedule": float("inf")}, "number of seconds"),
    ({"task": NOOP, "schedule": Holidays()}, "Holidays computes its own times"),
    ({"task": NOOP, "schedule": Moody(5)}, "Moody computes its own times"),
    ({"task": NOOP, "schedule": 60, "args": (object(),)}, "object"),
    ({"task": NOOP, "schedule": 60, "args": 5}, "int"),
    ({"task": NOOP, "schedule": 60, "kwargs": [1]}, "list"),
    ({"task": NOOP, "schedule": 60, "options": "queue"}, "dictionary"),
    ({"task": NOOP, "schedule": 60, "every": 5}, "no 'every'"),
    ({"task": NOOP, "schedule": 60, "start_time": "soon"}, "str"),
    ({"task": NOOP, "schedule": Recurring(60, overlap="maybe")}, "overlap is one of"),
    ({"task": NOOP, "schedule": Recurring(60, blackout=[("25:00", "26:00")])}, "no time of day"),
    ({"task": NOOP, "schedule": Recurring(60, blackout=[5])}, "Blackouts are a list"),
    ({"task": "t" * 300, "schedule": 60}, "longer than 255"),
    ({"task": "a\0b", "schedule": 60}, "NUL"),
    ({"task": NOOP}, "'task' and 'schedule'"),
    ("every minute", "is a dict"),
    (None, "is a dict"),
]


@pytest.mark.parametrize(("entry", "why"), NEVER)
def test_an_entry_that_makes_no_sense_says_why_and_is_not_in_the_way_of_others(entry, why):
    app = an_app({"before": {"task": NOOP, "schedule": 60}, "bad": entry, "sound": {"task": NOOP, "schedule": 60}})
    before, bad, sound = sources.in_code(app)
    assert why in bad.trouble
    assert next_of(bad, MONDAY) is None
    assert (before.trouble, sound.trouble) == ("", "")
    assert len(bad.task) <= 255


def test_an_impossible_day_is_never_due():
    impossible = crontab(minute=0, hour=0, day_of_month=29, month_of_year=2)
    impossible.day_of_month = {30}  # Celery from 5.7 on refuses to make one
    one = read(impossible, one_off=True, expires=datetime(2030, 1, 1, tzinfo=UTC))
    assert "never due" in one.trouble
    assert one.timing == "{}"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe", "../passwd"])
@pytest.mark.parametrize("said", [60, crontab(hour=3)])
def test_a_time_zone_that_does_not_exist(zone, said):
    one = read(crontab(hour=3) if isinstance(said, crontab) else said, conf={"timezone": zone})
    assert "no time zone" in one.trouble
    assert zone in one.trouble


def test_a_task_that_nobody_knows_is_fired_all_the_same():
    app = an_app({"s": {"task": "shop.tasks.of_tomorrow", "schedule": 60}})
    [one] = sources.in_code(app)
    assert "is registered" in one.trouble
    assert next_of(one, MONDAY) is not None


def test_names_that_do_not_fit_are_cut():
    app = an_app({"n" * 201: {"task": NOOP, "schedule": 60}, "a\0b": {"task": NOOP, "schedule": 60}})
    long, odd = sources.in_code(app)
    assert (len(long.name), "longer than 200" in long.trouble) == (200, True)
    assert (odd.name, "NUL" in odd.trouble) == ("a?b", True)


def test_settings_that_are_no_dict_are_one_trouble():
    app = an_app()
    app.conf.beat_schedule = ["every minute"]
    [one] = sources.in_code(app)
    assert "no dict" in one.trouble
