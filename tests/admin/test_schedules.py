"""Schedules and their ticks, to look at: what stands wrong first, and nothing of them as HTML."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from itertools import product
from urllib.parse import urlencode

import pytest
from django.test import Client

from celeriac.admin.schedule_words import exact, following, policy_words, why, words, zone
from celeriac.admin.standings import ORDER, counts, standings
from celeriac.ledger.states import State
from celeriac.schedules.models import Schedule, Tick
from celeriac.schedules.policies import MISFIRE, OVERLAP
from celeriac.schedules.preview import standing
from celeriac.schedules.recurring import policy_of
from tests.admin.pages import NAMED, SCHEDULES, TICKS, listed_names, page_of, schedule_page, text
from tests.admin.schedules import NOON, a_schedule, a_tick, crontab

pytestmark = pytest.mark.django_db(databases=["default", "lite"])

HOSTILE = "<script>alert('job')</script>"
NAMES = ["a/b", "../..", "?x=1&y=2#z", "50%", "_5F", " spaced ", "Grüße ☂", "a\nb\r\tc", '"quoted"', HOSTILE, "", "12"]


@pytest.fixture
def now(ledger):
    return ledger.now()


# -- the list


def one_of_each(now) -> dict[str, Schedule]:
    return {
        "over": a_schedule("over", next_tick=None),
        "off": a_schedule("off", next_tick=None, enabled=False, trouble="no such task"),
        "on": a_schedule("on", next_tick=now + timedelta(hours=1)),
        "paused": a_schedule("paused", next_tick=now - timedelta(days=1), paused_at=now - timedelta(days=2)),
        "troubled": a_schedule("troubled", next_tick=now + timedelta(hours=1), trouble="no such task"),
        "overdue": a_schedule("overdue", next_tick=now - timedelta(minutes=2)),
        "broken": a_schedule("broken", next_tick=None, timing="{}", trouble="It is never due"),
    }


def test_what_stands_wrong_comes_first_and_is_counted(ledger, viewer, now):
    one_of_each(now)
    a_schedule("a first name", next_tick=now + timedelta(hours=1))
    response = viewer.get(SCHEDULES)
    assert listed_names(response) == ["broken", "overdue", "troubled", "paused", "a first name", "on", "off", "over"]
    assert dict(counts(now)) == {**dict.fromkeys(ORDER, 1), "on": 3}
    page = text(response)
    assert "It is never due" in page
    assert "nobody has seen to it" in page
    for name in ORDER:
        assert f'href="?standing={name}"' in page


@pytest.mark.parametrize("name", ORDER)
def test_each_standing_can_be_listed(ledger, viewer, now, name):
    one_of_each(now)
    wanted = ["troubled", "on"] if name == "on" else [name]
    assert listed_names(viewer.get(SCHEDULES, {"standing": name})) == wanted


def test_the_database_and_the_preview_agree_on_how_a_schedule_stands(ledger, now):
    apart = [None, *(timedelta(seconds=n) for n in (-3600, -61, -59, 0, 3600))]
    for n, (next_, paused, enabled, trouble) in enumerate(product(apart, [None, now], [True, False], ["", "no"])):
        if enabled or next_ is None:  # what is disabled has no next tick
            at = None if next_ is None else now + next_
            a_schedule(f"s{n}", next_tick=at, paused_at=paused, enabled=enabled, trouble=trouble)
    rows = Schedule.objects.using(ledger.alias)
    for name, condition in standings(now).items():
        said = {row.name for row in rows if standing(row, now) == name}
        if name == "troubled":
            said = {row.name for row in rows if standing(row, now) == "on" and row.trouble}
        assert set(rows.filter(condition).values_list("name", flat=True)) == said != set()


def test_search_and_source_narrow_the_list(ledger, viewer, now):
    a_schedule("nightly", task="shop.report", source="settings")
    a_schedule("hourly", task="shop.sweep", source="table")
    assert listed_names(viewer.get(SCHEDULES, {"q": "NIGHT"})) == ["nightly"]
    assert listed_names(viewer.get(SCHEDULES, {"q": "sweep"})) == ["hourly"]
    assert listed_names(viewer.get(SCHEDULES, {"source": "table"})) == ["hourly"]
    assert listed_names(viewer.get(SCHEDULES, {"source": "table", "q": "report"})) == []


@pytest.mark.parametrize("query", ["standing=no", "source=no", "nonsense=1", "p=99", "q=%00", "standing=%00"])
def test_an_address_that_makes_no_sense_is_no_error(ledger, viewer, query):
    a_schedule("s")
    assert viewer.get(f"{SCHEDULES}?{query}", follow=True).status_code == 200


def test_the_next_run_is_local_and_in_utc_when_pointed_at(ledger, viewer, now):
    a_schedule("ny", timing=crontab("0", "9", zone="America/New_York"), next_tick=now + timedelta(minutes=1))
    page = text(viewer.get(SCHEDULES))
    [(utc, local)] = re.findall(r'title="([\d-]+ 1[34]:00:00 UTC)">[\d-]+ 09:00:00 (E[SD]T)<', page)
    assert utc
    assert local
    assert "At 09:00 (America/New_York)" in page


def test_the_last_tick_is_that_of_the_latest_instant_and_links_to_its_job(ledger, viewer, now):
    job = ledger.at(State.DEAD)
    a_schedule("s")
    a_tick("s", now - timedelta(minutes=1), outcome="dead", job=job.id, told="dead")
    a_tick("s", now - timedelta(days=9), outcome="succeeded", kind="backfill")  # written later
    page = text(viewer.get(SCHEDULES))
    assert page_of(job) in page
    assert "celeriac-dead" in page
    assert "its job is over without success" in page
    assert "celeriac-succeeded" not in page


# -- one that makes no sense here does not hide the others


def test_a_row_that_cannot_be_read_is_shown_beside_the_others(ledger, viewer, now):
    a_schedule("good")
    bad = [
        a_schedule("zone", timing=crontab("0", "9", zone="Mars/Olympus")),
        a_schedule("timing", timing="not json"),
        a_schedule("policy", policy='{"misfire":"never","zone":"UTC"}'),
        a_schedule("texts", args="not json", kwargs="[" * 3000, options="[]"),
    ]
    assert len(listed_names(viewer.get(SCHEDULES))) == 5
    for row in bad:
        response = viewer.get(schedule_page(row))
        assert response.status_code == 200
        assert ("cannot tell its times" in text(response)) == (row.name != "texts")


# -- the page of one


def test_the_page_tells_the_definition_in_words(ledger, viewer, now):
    policy = {
        "misfire": "all", "window": 3600, "overlap": "queue_one", "jitter": 90, "within": 1800, "zone": "UTC",
        "blackout": [["sat", "00:00", "24:00"], ["22:00", "06:00"]],
    }  # fmt: skip
    row = a_schedule(
        "s", origin="shop", task="shop.pay", args='["order-7"]', kwargs='{"note":"x"}', options='{"queue":"money"}',
        policy=json.dumps(policy), description="Wakes the traders", starts_at=now - timedelta(days=1),
    )  # fmt: skip
    page = text(viewer.get(schedule_page(row)))
    for piece in (
        "Every hour", "shop.pay", "order-7", "money", "Wakes the traders", "in CELERY_BEAT_SCHEDULE of the app shop",
        "a job for each that was missed (none older than 1 hour)", "one job that waits for it", "jobs start up to 90 s",
        "from 00:00 to 24:00 on Sat; from 22:00 to 06:00 (UTC)", "30 minutes, or somebody is told", "Not before",
    ):  # fmt: skip
        assert piece in page


@pytest.mark.parametrize("misfire", MISFIRE)
@pytest.mark.parametrize("overlap", OVERLAP)
def test_each_policy_has_words(misfire, overlap):
    told = dict(policy_words(policy_of({"misfire": misfire, "overlap": overlap, "window": 60}, zone(Schedule()))))
    assert set(told) == {"Missed ticks", "While a job is open"}
    assert "older than 1 min" in told["Missed ticks"]


def test_ten_ticks_to_come_those_that_are_no_job_say_why(ledger, viewer, operator, now):
    first = following(a_schedule("probe"), 1, now).ticks[0].instant
    blackout = [[{"__type__": "datetime", "__value__": (first + timedelta(hours=n)).isoformat()} for n in (1, 2)]]
    row = a_schedule(
        "s", skips=json.dumps([first.isoformat()]), policy=json.dumps({"blackout": blackout, "zone": "UTC"})
    )
    page = text(viewer.get(schedule_page(row)))
    assert page.count("UTC</td>") == 10
    assert page.count("no: taken out by hand") == 1
    assert page.count("no: in a blackout") == 1
    assert "/operate/" not in page
    acting = text(operator.get(schedule_page(row)))
    assert acting.count(">Put back</button>") == 1
    assert acting.count(">Skip</button>") == 8


def test_the_history_tells_each_tick(ledger, viewer, now):
    row = a_schedule("s")
    job = ledger.running()
    a_tick("s", now - timedelta(hours=1), outcome="fired", job=job.id, fired_at=now - timedelta(seconds=3597))
    a_tick("s", now - timedelta(hours=2), outcome="skipped", reason="misfire", count=12)
    a_tick("s", now - timedelta(hours=3), outcome="failed", note="ValueError: no")
    a_tick("s", now - timedelta(hours=4), outcome="succeeded", kind="now", job="01890a5d-ac96-774b-bcce-b302099a8057")
    a_tick("s", now - timedelta(hours=5), outcome="sent")
    a_tick("other", now - timedelta(hours=1), outcome="failed", note="of another")
    for address in (schedule_page(row), f"{TICKS}?schedule=s"):
        page = text(viewer.get(address))
        for piece in (
            "celeriac-running", page_of(job), "3.0 s", "missed", "the last of 12 ticks",
            "ValueError: no", "by hand", "its row is deleted", "left to the broker",
        ):  # fmt: skip
            assert piece in page, (address, piece)
        assert "of another" not in page
    assert "of another" in text(viewer.get(TICKS))


def test_a_long_history_goes_on_in_the_list_of_ticks(ledger, viewer, now):
    row = a_schedule("a/b")
    for n in range(51):
        a_tick("a/b", now - timedelta(hours=n), outcome="succeeded")
    page = text(viewer.get(schedule_page(row)))
    assert page.count("celeriac-succeeded") == 50
    assert f"{TICKS}?schedule=a%2Fb" in page
    assert viewer.get(f"{TICKS}?schedule=a%2Fb").context["cl"].result_count == 51


@pytest.mark.parametrize("timing", ['{"every":5}', '{"at":"2026-06-01T12:00:00+00:00"}', "{}", crontab("*/5", "*")])
def test_each_kind_of_schedule_has_words_and_a_page(ledger, viewer, timing):
    row = a_schedule("s", timing=timing, next_tick=None if timing == "{}" else NOON)
    assert words(row) in text(viewer.get(schedule_page(row)))


def test_what_is_said_of_nothing():
    assert exact(None, zone(Schedule())) == "-"
    assert why(Tick(outcome="succeeded")) == ""


# -- names


@pytest.mark.parametrize("name", NAMES)
def test_a_name_may_hold_anything(ledger, viewer, operator, name):
    row = a_schedule(name)
    assert listed_names(viewer.get(SCHEDULES)) == [name]
    assert schedule_page(row) in text(viewer.get(SCHEDULES))
    assert viewer.get(f"{NAMED}?{urlencode({'name': name})}").headers["Location"] == schedule_page(row)
    assert operator.get(schedule_page(row)).status_code == 200
    for verb in ("run", "backfill"):
        assert operator.post(f"{SCHEDULES}{row.pk}/operate/{verb}/").status_code == 200


def test_of_a_name_that_is_gone_the_ticks_are_shown(ledger, viewer):
    a_tick(HOSTILE, NOON, outcome="succeeded")
    a_tick("other", NOON, outcome="failed")
    response = viewer.get(f"{NAMED}?{urlencode({'name': HOSTILE})}", follow=True)
    page = text(response)
    assert "any more" in page
    assert "<script>alert" not in page
    assert [tick.schedule for tick in response.context["cl"].result_list] == [HOSTILE]


def test_nothing_of_a_schedule_becomes_html(ledger, operator, now):
    options = json.dumps({"queue": HOSTILE})
    row = a_schedule(
        HOSTILE, task=HOSTILE, args=f'["{HOSTILE}"]', kwargs=f'{{"{HOSTILE}":1}}', options=options, trouble=HOSTILE,
        description=HOSTILE, origin=HOSTILE,
    )  # fmt: skip
    strange = a_schedule("z", timing=json.dumps({"solar": HOSTILE, "latitude": 1.0, "longitude": 2.0}), source="<b>")
    a_tick(HOSTILE, now, outcome="failed", reason=HOSTILE[:20], note=HOSTILE)
    job = ledger.at(
        State.DEAD, headers=json.dumps({"headers": {"celeriac_schedule": HOSTILE, "celeriac_tick": HOSTILE}})
    )
    operator.post(f"{SCHEDULES}{row.pk}/operate/pause/", {"confirmed": "yes", "reason": HOSTILE})
    addresses = [SCHEDULES, f"{SCHEDULES}?q={HOSTILE}", TICKS, schedule_page(row), schedule_page(strange), page_of(job)]
    pages = [operator.get(address) for address in addresses]
    pages += [operator.post(f"{SCHEDULES}{row.pk}/operate/{verb}/") for verb in ("run", "resume", "backfill")]
    for page in map(text, pages):
        assert "<script>alert" not in page
        assert "<b>" not in page


# -- jobs lead to their schedule


def test_a_job_of_a_schedule_links_to_it(ledger, viewer):
    headers = {"celeriac_schedule": "a/b ☂", "celeriac_tick": "2026-06-01T12:00:00+00:00"}
    job = ledger.at(State.READY, headers=json.dumps({"headers": headers}))
    page = text(viewer.get(page_of(job)))
    assert f"{NAMED}?name=a%2Fb%20%E2%98%82" in page
    assert "2026-06-01T12:00:00+00:00" in page


@pytest.mark.parametrize(
    "headers", ["{}", "no json", "[]", '{"headers":7}', '{"headers":{"celeriac_schedule":7,"celeriac_tick":[]}}']
)
def test_other_headers_are_no_schedule(ledger, viewer, headers):
    assert NAMED not in text(viewer.get(page_of(ledger.at(State.DEAD, headers=headers))))


# -- who may


def test_only_who_may_view_jobs_looks(ledger, nobody, viewer):
    row = a_schedule("s")
    for address in (SCHEDULES, TICKS, schedule_page(row), f"{NAMED}?name=s"):
        assert nobody.get(address).status_code == 403
        assert viewer.get(address, follow=True).status_code == 200
        assert Client().get(address).status_code == 302


@pytest.mark.parametrize("id_", ["0", "x", "a" * 300, "9" * 40, "%00"])
def test_what_is_not_there_is_404(ledger, operator, id_):
    assert operator.get(f"{SCHEDULES}{id_}/change/").status_code == 404
    assert operator.post(f"{SCHEDULES}{id_}/operate/run/", follow=True).status_code == 404


def test_nobody_adds_changes_or_deletes(ledger, operator, admin_client):
    row = a_schedule("s")
    tick = a_tick("s", NOON, outcome="fired")
    for client in (operator, admin_client):
        for model, id_ in (("schedule", row.pk), ("tick", tick.pk)):
            assert client.get(f"/admin/celeriac/{model}/add/").status_code == 403
            assert client.post(f"/admin/celeriac/{model}/{id_}/delete/", {"post": "yes"}).status_code in {302, 403}
            assert client.post(f"/admin/celeriac/{model}/{id_}/change/", {"name": "x"}).status_code in {403, 405}
        assert client.post(f"{NAMED}?name=s").status_code == 405
    assert Schedule.objects.using(ledger.alias).get().name == "s"
