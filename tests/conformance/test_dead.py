"""What an operator sees of the dead: pages, counts and groups."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connections

from celeriac.ledger import dead
from celeriac.ledger.dead import Place
from celeriac.ledger.models import Job
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import State
from tests.ledger_helpers import an_id, ending, ids, story

DEAD = Selection(states=("dead",))


@pytest.fixture
def deaths(ledger):
    """Eleven dead jobs, newest first; some of the same moment."""
    jobs = [
        ledger.at(State.DEAD, fingerprint="even" if n % 2 == 0 else "odd", task=f"shop.t{n % 3}") for n in range(11)
    ]
    ledger.at(State.CANCELLED)
    ledger.given()
    now = ledger.now()
    for n, job in enumerate(jobs):
        ledger.jobs.filter(id=job.id).update(finished_at=now - timedelta(minutes=n // 2))
    rows = ledger.jobs.filter(state="dead")
    return [row.id for row in sorted(rows, key=lambda row: (row.finished_at, row.id), reverse=True)]


def test_pages_there_and_back_again(ledger, deaths):
    seen, pages, after = [], [], None
    while True:
        page = dead.page(DEAD, after=after, size=4, using=ledger.alias)
        seen += ids(page.jobs)
        pages.append(page)
        if page.after is None:
            break
        after = page.after
    assert seen == deaths
    assert [len(page.jobs) for page in pages] == [4, 4, 3]
    assert pages[0].before is None
    back = dead.page(DEAD, before=pages[2].before, size=4, using=ledger.alias)
    assert ids(back.jobs) == ids(pages[1].jobs)
    assert dead.page(DEAD, after=back.after, size=4, using=ledger.alias) == pages[2]
    first = dead.page(DEAD, before=back.before, size=4, using=ledger.alias)
    assert (ids(first.jobs), first.before) == (ids(pages[0].jobs), None)


def test_a_page_of_a_selection(ledger, deaths):
    page = dead.page(Selection(states=("dead",), fingerprint="even"), size=50, using=ledger.alias)
    assert len(page.jobs) == 6
    assert (page.before, page.after) == (None, None)


def test_nothing_is_before_the_first_and_after_the_last(ledger, deaths):
    first, last = (ledger.row(id_) for id_ in (deaths[0], deaths[-1]))
    assert dead.page(DEAD, before=Place(first.finished_at, first.id), using=ledger.alias).jobs == []
    assert dead.page(DEAD, after=Place(last.finished_at, last.id), using=ledger.alias).jobs == []


def test_counts_stop_at_the_cap(ledger, deaths):
    assert dead.count(DEAD, using=ledger.alias) == 11
    assert dead.count(DEAD, cap=5, using=ledger.alias) == 5
    assert dead.count(Selection.of(*deaths[:3]), using=ledger.alias) == 3


@pytest.mark.parametrize("selection", [None, DEAD, Selection(states=("dead",), reason="")])
def test_groups_the_latest_first(ledger, deaths, selection):
    found = dead.groups(selection, using=ledger.alias)
    assert {group.fingerprint: group.count for group in found} == {"even": 6, "odd": 5}
    assert [group.last for group in found] == sorted((group.last for group in found), reverse=True)
    for group in found:
        rows = ledger.jobs.filter(fingerprint=group.fingerprint).order_by("finished_at", "id")
        assert (group.first, group.last) == (rows[0].finished_at, rows.last().finished_at)
        assert group.job == rows.last().id
        assert not group.capped


@pytest.mark.parametrize("selection", [None, Selection(states=("dead",), task="shop.pay")])
def test_a_group_is_told_by_its_last_death(ledger, selection):
    job = ledger.running(task="shop.pay")
    failed = story(job, message="card refused")
    ledger.finish(ending(job, "dead", reason="failed", exception="shop.Refused", fingerprint="f"), failures=[failed])
    [group] = dead.groups(selection, using=ledger.alias)
    assert (group.task, group.exception, group.reason) == ("shop.pay", "shop.Refused", "failed")
    assert (group.message, group.count, group.job) == ("card refused", 1, job.id)


@pytest.mark.parametrize("selection", [None, Selection(states=("dead",), queue="q")])
def test_groups_keep_to_limit_and_cap(ledger, deaths, selection):
    [group] = dead.groups(selection, limit=1, cap=3, using=ledger.alias)
    assert group.count <= 3
    assert group.capped


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_of_too_many_groups_those_of_the_newest_jobs(ledger, deaths, most):
    found = dead.groups(most=most, using=ledger.alias)
    assert {group.fingerprint: group.count for group in found} == {"even": 6, "odd": 5}


def test_no_dead_no_group(ledger):
    assert dead.groups(using=ledger.alias) == []
    assert dead.page(DEAD, using=ledger.alias) == ([], None, None)


def test_groups_of_a_selection_of_other_states_are_none(ledger, deaths):
    assert dead.groups(Selection(states=("cancelled",)), using=ledger.alias) == []


ORDERED = [
    ({}, "celeriac_job_dead"),
    ({"task": "task7"}, "celeriac_job_dead_task"),
    ({"queue": "queue7"}, "celeriac_job_dead_queue"),
    ({"exception": "exception7"}, "celeriac_job_dead_of"),
    ({"reason": "reason7"}, "celeriac_job_dead_why"),
    ({"fingerprint": "fingerprint7"}, "celeriac_job_group"),
]


def test_a_page_comes_out_of_an_index_in_order(ledger):
    """Without sorting, as at a million rows, where that is dear; bench/replay.py has the times."""
    if connections[ledger.alias].vendor != "postgresql":
        pytest.skip("partial indexes are PostgreSQL's and SQLite's, and plans read otherwise there")
    now = ledger.now()
    ledger.jobs.bulk_create(
        Job(
            id=an_id(),
            args="[]",
            kwargs="{}",
            headers="{}",
            state="dead",
            **{name: f"{name}{n % 100}" for name in ("task", "queue", "exception", "reason", "fingerprint")},
            **dict.fromkeys(("run_at", "created_at", "finished_at"), now - timedelta(seconds=n)),
        )
        for n in range(3000)
    )
    with connections[ledger.alias].cursor() as cursor:
        cursor.execute("ANALYZE celeriac_job; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off")
    place = Place(now - timedelta(seconds=1500), an_id())
    for filters, index in ORDERED:
        rows = Selection(states=("dead",), **filters).rows(ledger.alias)
        plan = dead._from(rows, "finished_at", place, newer=False)[:20].explain()
        assert f"using {index} " in plan
        assert "Sort" not in plan
