"""The list, its filters and the page of a job: what is there, and nothing of it as HTML."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from celeriac.ledger.models import Effect
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import State
from tests.admin.pages import ACTIONS, GROUPS, JOBS, LISTS, QUEUES, WORKERS, listed, page_of, text
from tests.ledger_helpers import a_present, an_id, ending, ids, story

pytestmark = pytest.mark.django_db(databases=["default", "lite"])

HOSTILE = "<script>alert('job')</script>"


def a_death(ledger, message="no", **fields):
    end = {name: fields.pop(name) for name in ("reason", "exception", "fingerprint") if name in fields}
    job = ledger.running(**fields)
    ledger.finish(ending(job, "dead", **end), failures=[story(job, message=message)])
    return job


def test_the_list_shows_the_dead_the_latest_first(ledger, viewer):
    jobs = [ledger.at(State.DEAD) for _ in range(3)]
    ledger.at(State.SUCCEEDED)
    for n, job in enumerate(jobs):
        ledger.jobs.filter(id=job.id).update(finished_at=ledger.now() - timedelta(minutes=n))
    assert listed(viewer.get(JOBS)) == ids(jobs)


@pytest.mark.parametrize("state", State)
def test_each_state_and_all_can_be_listed(ledger, viewer, state):
    jobs = {each: ledger.at(each) for each in State}
    assert listed(viewer.get(JOBS, {"state": state})) == [jobs[state].id]
    assert set(listed(viewer.get(JOBS, {"state": "all"}))) == set(ids(jobs.values()))
    assert len(listed(viewer.get(JOBS, {"state": "open"}))) == 4


def test_filters_narrow_the_list_together(ledger, viewer):
    wanted = {"task": "shop.pay", "queue": "money", "reason": "failed", "exception": "shop.No", "fingerprint": "f"}
    job = a_death(ledger, **wanted)
    for name in wanted:
        a_death(ledger, **{**wanted, name: "other"})
    assert listed(viewer.get(JOBS, {**wanted, "window": "1h"})) == [job.id]
    page = text(viewer.get(JOBS, wanted))
    assert "fingerprint" in page
    assert "shop.No" in page
    ledger.jobs.update(finished_at=ledger.now() - timedelta(hours=2))
    assert listed(viewer.get(JOBS, {**wanted, "window": "1h"})) == []
    assert listed(viewer.get(JOBS, {**wanted, "window": "24h"})) == [job.id]


def test_search_finds_by_id_task_and_arguments(ledger, viewer):
    job = ledger.at(State.DEAD, task="shop.pay", args='["order-4711"]')
    alive = ledger.given()
    assert listed(viewer.get(JOBS, {"q": "order-4711"})) == [job.id]
    assert listed(viewer.get(JOBS, {"q": "PAY"})) == [job.id]
    assert listed(viewer.get(JOBS, {"q": f" {alive.id} "})) == [alive.id]  # whatever its state
    nothing = viewer.get(JOBS, {"q": "noop"})
    assert listed(nothing) == []
    assert "?q=noop&amp;state=all" in text(nothing)
    assert listed(viewer.get(JOBS, {"q": "noop", "state": "all"})) == [alive.id]
    assert listed(viewer.get(JOBS, {"q": "order\0-4711"})) == [job.id]


@pytest.mark.parametrize(
    "query", ["state=no", "window=1y", "worker=7", "nonsense=1", "p=9999", "p=x", "q=%00", "task=%00", "state=no&q=x"]
)
def test_an_address_that_makes_no_sense_is_no_error(ledger, viewer, query):
    ledger.at(State.DEAD)
    assert viewer.get(f"{JOBS}?{query}", follow=True).status_code == 200


@pytest.mark.parametrize("query", ["task__contains=pay", "losses=0", "changes__before=dead"])
def test_what_is_no_filter_of_a_selection_narrows_nothing_behind_its_back(ledger, viewer, query):
    """Or "all that match" would be more than is listed."""
    ledger.at(State.DEAD)
    assert viewer.get(f"{JOBS}?{query}").status_code in {302, 400}


def test_a_list_of_more_than_a_page(ledger, viewer):
    jobs = ledger.running_many(60)
    ledger.finish(*(ending(job, "dead") for job in jobs))
    first, second = listed(viewer.get(JOBS)), listed(viewer.get(JOBS, {"p": 2}))
    assert (len(first), len(second)) == (50, 10)
    assert {*first, *second} == set(ids(jobs))


def test_the_page_of_a_dead_job_tells_its_story(ledger, viewer):
    job = ledger.running(task="shop.pay", args='[{"order":7}]', kwargs='{"note":"x"}', key="k-1", lane="l-1")
    [child] = ledger.children_of(job.id)
    Effect.objects.using(ledger.alias).create(
        job_id=job.id, name="charge", claim_no=1, begun_at=ledger.now(), result=None
    )
    failed = story(job, exception="shop.Refused", message="card refused", traceback="File pay.py, line 3")
    ledger.finish(ending(job, "dead", reason="failed", exception="shop.Refused", fingerprint="f1"), failures=[failed])
    page = text(viewer.get(page_of(job)))
    for piece in (
        str(job.id), "shop.pay", "&quot;order&quot;: 7", "card refused", "File pay.py, line 3", "charge", "in doubt",
        str(child.id), "k-1", "l-1", "?fingerprint=f1",
    ):  # fmt: skip
        assert piece in page
    assert str(job.id) in text(viewer.get(page_of(child)))


def test_what_a_job_waits_for_may_have_no_row(ledger, viewer):
    [child] = ledger.children_of(parent := an_id())
    page = text(viewer.get(page_of(child)))
    assert str(parent) in page
    assert "no row" in page


@pytest.mark.parametrize("state", State)
def test_the_page_of_each_state(ledger, viewer, operator, state):
    job = ledger.at(state)
    assert viewer.get(page_of(job)).status_code == 200
    assert operator.get(page_of(job)).status_code == 200


def test_nothing_of_a_job_becomes_html(ledger, operator):
    job = ledger.running(
        task=HOSTILE, queue=HOSTILE, args=f'["{HOSTILE}"]', kwargs=f'{{"{HOSTILE}":"{HOSTILE}"}}', key=HOSTILE
    )
    failed = story(job, message=HOSTILE, exception=HOSTILE, traceback=HOSTILE)
    end = ending(job, "dead", exception=HOSTILE, fingerprint="<b>", reason="<i>", error=f'"{HOSTILE}"')
    ledger.finish(end, failures=[failed])
    ledger.children_of(job.id, task=HOSTILE)
    ledger.jobs.filter(id=job.id).update(result=HOSTILE, progress=HOSTILE)
    operator.post(
        f"{JOBS}operate/replay/", {"selection": Selection.of(job.id).as_json(), "reason": HOSTILE, "confirmed": "y"}
    )
    ledger.jobs.filter(id=job.id).update(state="dead", finished_at=ledger.now(), worker=None)
    action = ledger.changes()
    assert action
    for address in (
        JOBS,
        f"{JOBS}?q={HOSTILE}",
        f"{JOBS}?task={HOSTILE}",
        GROUPS,
        page_of(job),
        f"{JOBS}{job.id}/edit/",
        *LISTS,
    ):
        page = text(operator.get(address))
        assert "<script>alert" not in page, address
        assert "<b>" not in page
        assert "<i>" not in page
    asks = operator.post(f"{JOBS}operate/discard/", {"selection": Selection.of(job.id).as_json()})
    assert "<script>alert" not in text(asks)


def test_what_is_no_json_or_deep_is_shown_as_it_is(ledger, viewer):
    job = ledger.at(State.DEAD, args="not json", kwargs="[" * 5000)
    assert "not json" in text(viewer.get(page_of(job)))
    assert "not json" in text(viewer.get(JOBS))


def test_groups_with_counts_and_ways_on(ledger, viewer, operator):
    for _ in range(3):
        a_death(ledger, message="card refused", exception="shop.Refused", fingerprint="f1", reason="failed")
    a_death(ledger, reason="upstream")
    page = text(viewer.get(GROUPS))
    assert "shop.Refused" in page
    assert "card refused" in page
    assert "?fingerprint=f1" in page
    assert "Replay all" not in page
    assert text(operator.get(GROUPS)).count("Replay all") == 1  # what has no fingerprint is no group to act on
    assert len(listed(viewer.get(JOBS, {"fingerprint": "f1"}))) == 3


def test_a_worker_and_a_queue_have_a_page_and_nothing_to_save(ledger, viewer, operator):
    present = a_present()
    ledger.renew(present)
    ledger.pause("q")
    for client in (viewer, operator):
        for address in (f"{WORKERS}{present.id}/change/", f"{QUEUES}q/change/"):
            assert 'name="_save"' not in text(client.get(address))
            assert client.post(address, {"pid": 1}).status_code == 403


def test_no_dead_no_groups(ledger, viewer):
    assert "Nothing is dead" in text(viewer.get(GROUPS))


def test_workers_and_queues(ledger, viewer):
    present = a_present(hostname=HOSTILE, queues='["q<b>"]')
    ledger.renew(present)
    ledger.pause("parcels<b>")
    page = text(viewer.get(WORKERS))
    assert str(present.pid) in page
    assert str(present.id) in page
    assert "parcels&lt;b&gt;" in text(viewer.get(QUEUES))
    for address in (WORKERS, QUEUES):
        assert "<b>" not in text(viewer.get(address))
        assert "<script>alert" not in text(viewer.get(address))


@pytest.mark.parametrize("id_", ["01890a5d-ac96-774b-bcce-b302099a8057", "7", "not-an-id", "a" * 300])
def test_what_is_not_there_is_404(ledger, operator, id_):
    assert operator.get(f"{JOBS}{id_}/change/").status_code == 404
    assert operator.get(f"{JOBS}{id_}/edit/", follow=True).status_code == 404
    assert operator.get(f"{ACTIONS}{id_}/change/").status_code == 404
    assert operator.post(f"{ACTIONS}{id_}/stop/", follow=True).status_code == 404


@pytest.mark.parametrize("address", LISTS)
def test_only_who_may_view_jobs_looks(ledger, nobody, viewer, address):
    assert nobody.get(address).status_code == 403
    assert viewer.get(address).status_code == 200
    assert Client().get(address).status_code == 302
