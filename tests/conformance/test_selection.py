"""A selection means the same on each database, can be kept, and says what it means."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import hypothesis.strategies as st
import pytest
from django.db import connections
from hypothesis import given

from celeriac.ledger.ids import job_id
from celeriac.ledger.models import Job
from celeriac.ledger.search import search
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import State
from tests.ledger_helpers import WORKER, an_id, ids

DEAD = Selection(states=("dead",))


def found(ledger, **filters):
    return set(Selection(states=("dead",), **filters).rows(ledger.alias).values_list("id", flat=True))


def test_by_ids_whatever_their_state(ledger):
    jobs = [ledger.at(state) for state in State]
    chosen = Selection.of(jobs[0].id, str(jobs[1].id), an_id())
    assert set(chosen.rows(ledger.alias).values_list("id", flat=True)) == set(ids(jobs[:2]))


@pytest.mark.parametrize(
    ("filters", "fields"),
    [
        ({"task": "shop.pay"}, {"task": "shop.pay"}),
        ({"queue": "slow"}, {"queue": "slow"}),
        ({"reason": "lost"}, {"reason": "lost"}),
        ({"exception": "shop.Refused"}, {"exception": "shop.Refused"}),
        ({"fingerprint": "f1"}, {"fingerprint": "f1"}),
        ({"key": "order-7"}, {"key": "order-7", "held": "h", "hold": "open"}),
    ],
)
def test_by_each_filter(ledger, filters, fields):
    one, _other = ledger.at(State.DEAD, **fields), ledger.at(State.DEAD)
    ledger.at(State.CANCELLED, **{**fields, "held": None} if "key" in fields else fields)
    assert found(ledger, **filters) == {one.id}


def test_all_filters_have_to_match(ledger):
    one = ledger.at(State.DEAD, task="shop.pay", queue="slow")
    ledger.at(State.DEAD, task="shop.pay")
    ledger.at(State.DEAD, queue="slow")
    assert found(ledger, task="shop.pay", queue="slow") == {one.id}


def test_by_the_worker_that_runs_it(ledger):
    job = ledger.running()
    assert set(ids(Selection(worker=WORKER).rows(ledger.alias))) == {job.id}
    assert not Selection(worker=an_id()).rows(ledger.alias).exists()


def test_since_and_until_are_about_the_end_of_what_has_ended(ledger):
    old, new = ledger.at(State.DEAD), ledger.at(State.DEAD)
    then = ledger.now() - timedelta(hours=2)
    ledger.jobs.filter(id=old.id).update(finished_at=then)
    hour_ago = ledger.now() - timedelta(hours=1)
    assert found(ledger, since=hour_ago) == {new.id}
    assert found(ledger, until=hour_ago) == {old.id}
    asked = Selection(states=("dead", "ready"), until=hour_ago)
    assert not asked.rows(ledger.alias).exists()


@pytest.mark.parametrize("text", ["ada@example.com", "Ada", "4711", "gold customer", "shop.pay", "PAY"])
def test_by_a_piece_of_text(ledger, text):
    sought = ledger.at(
        State.DEAD, task="shop.pay_bill", args='[4711,"ada@example.com"]', kwargs='{"who":"Ada","kind":"gold customer"}'
    )
    ledger.at(State.DEAD, args='[4712,"eve@example.com"]', kwargs='{"who":"Eve"}')
    assert found(ledger, text=text) == {sought.id}
    assert found(ledger, text=str(sought.id)) == {sought.id}
    assert found(ledger, text="nobody") == found(ledger, text=str(an_id())) == set()


@pytest.mark.parametrize("text", ["", "%", "';--", "---", '"', "\\", "a & !b | (c", "ß\u2028"])
def test_no_text_is_an_error(ledger, text):
    ledger.at(State.DEAD)
    assert len(found(ledger, text=text)) <= 1


@pytest.mark.parametrize("rare", [2, 3, 4])
def test_what_many_have_is_found_as_well(ledger, rare):
    dead = [ledger.at(State.DEAD, args='["shared"]') for _ in range(3)]
    ledger.at(State.DEAD)
    assert set(ledger.jobs.filter(search("shared", dead=True, rare=rare, using=ledger.alias))) == {
        ledger.row(job) for job in dead
    }


def test_text_is_looked_for_among_the_open_too(ledger):
    job = ledger.given(args='["ada@example.com"]')
    assert [row.id for row in Selection(states=("ready",), text="ada@example.com").rows(ledger.alias)] == [job.id]


def test_the_search_uses_the_index(ledger):
    if connections[ledger.alias].vendor != "postgresql":
        pytest.skip("full text is PostgreSQL's")
    now = ledger.now()
    fixed = {"task": "t", "queue": "q", "kwargs": "{}", "headers": "{}", "state": "dead"}
    when = dict.fromkeys(("run_at", "created_at", "finished_at"), now)
    ledger.jobs.bulk_create(Job(id=an_id(), args=f'["customer {n}"]', **fixed, **when) for n in range(3000))
    with connections[ledger.alias].cursor() as cursor:
        cursor.execute("ANALYZE celeriac_job")
    looks = []
    with connections[ledger.alias].execute_wrapper(lambda run, sql, *rest: looks.append(sql) or run(sql, *rest)):
        search("4711", dead=True, using=ledger.alias)
    [look] = [sql for sql in looks if "to_tsvector" in sql]
    with connections[ledger.alias].cursor() as cursor:
        cursor.execute(
            "EXPLAIN " + look, ("4711", "dead") if look.index("tsquery") < look.index("state") else ("dead", "4711")
        )
        assert "celeriac_job_words" in str(cursor.fetchall())


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
selections = st.builds(
    Selection,
    states=st.lists(st.sampled_from(list(State)), unique=True).map(tuple),
    task=texts,
    queue=texts,
    exception=texts,
    text=texts,
    key=texts,
    worker=st.none() | st.uuids(),
    since=st.none() | st.datetimes(timezones=st.timezones()),
    until=st.none() | st.datetimes(),
) | st.builds(Selection, ids=st.lists(st.uuids()).map(tuple))


@given(selections)
def test_it_comes_back_from_json(selection):
    back = Selection.from_json(selection.as_json())
    # Not `back == selection`: a time that a clock shows twice is, to Python, unequal to the same one in another zone.
    assert back.as_json() == selection.as_json()
    assert str(back) == str(selection)


@pytest.mark.parametrize("text", ["[]", '{"tsk": "x"}', '{"states": ["gone"]}', '{"ids": ["7"]}', "null"])
def test_other_json_is_refused(text):
    with pytest.raises(ValueError):
        Selection.from_json(text)


def test_ids_and_filters_are_not_mixed():
    with pytest.raises(ValueError, match="by ids or by filters, not both: task"):
        Selection(ids=(an_id(),), task="shop.pay")


def test_in_words(ledger):
    id_ = UUID(int=7)
    assert str(Selection.of(id_)) == f"job {id_}"
    assert str(Selection.of(id_, an_id())) == "2 jobs by their ids"


def test_an_id_that_a_caller_made_up_is_its_rows():
    assert Selection.of("invoice-7") == Selection.of(job_id("invoice-7"))
    assert str(Selection()) == "all jobs"
    given_ = Selection(states=("dead",), task="shop.pay", queue="slow", exception="shop.Refused", text="Ada")
    assert str(given_) == (
        "dead jobs of task shop.pay, in queue slow, of shop.Refused, with 'Ada' in id, task or arguments"
    )
