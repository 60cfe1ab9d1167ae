"""Keys: what a task may say of them, what is refused at import, and what they come out as."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celeriac import Celery
from celeriac.api.keys import Rules, Terms, rules_for, with_keys
from celeriac.errors import ConfigurationError
from celeriac.ledger.ids import key_digest
from celeriac.ledger.rows import EXCLUSIVE, NewJob
from tests.ledger_helpers import an_id


@pytest.fixture(scope="module")
def app():
    app = Celery("keys", set_as_current=False)
    app.config_from_object({"broker_url": "memory://"})
    return app


def declare(app, **options):
    def body(invoice_id, resend=False, *rest, note="n"):  # noqa: FBT002
        pass

    task = app.task(shared=False, name=f"keys.{an_id()}", **options)(body)
    return task._get_current_object() if hasattr(task, "_get_current_object") else task


def keyed(task, *args, timed=False, **kwargs):
    job = NewJob(an_id(), "shop.send", "q")
    return with_keys(job, task.key_rules, task, args, kwargs, timed=timed)


# -- what a key comes out as


@pytest.mark.parametrize(
    ("args", "kwargs", "key"),
    [
        ((7,), {}, "inv-7-False-n"),
        ((), {"invoice_id": 7}, "inv-7-False-n"),
        ((7, True), {"note": "x"}, "inv-7-True-x"),
        ((7, True, 1, 2), {}, "inv-7-True-n"),
    ],
)
def test_a_key_is_of_the_bound_arguments_however_they_are_passed(app, args, kwargs, key):
    task = declare(app, idempotency_key="inv-{invoice_id}-{resend}-{note}")
    job, terms = keyed(task, *args, **kwargs)
    assert (job.key, job.held, job.hold) == (key, key_digest("shop.send", key), "open")
    assert terms == Terms("existing")


def test_a_key_may_be_a_function_of_the_arguments(app):
    task = declare(app, idempotency_key=lambda invoice_id, **_: invoice_id * 2)
    assert keyed(task, 21)[0].key == "42"


def test_a_bound_task_has_the_same_arguments(app):
    @app.task(bind=True, shared=False, name="keys.bound", idempotency_key="{invoice_id:05}")
    def bound(self, invoice_id):
        pass

    assert keyed(bound, 7)[0].key == "00007"


def test_one_for_all_keywords_takes_any_name(app):
    @app.task(shared=False, name="keys.open", idempotency_key="{who}")
    def opened(**facts):
        pass

    assert keyed(opened, who="ada")[0].key == "ada"


def test_retries_and_atomic_change_no_signature(app):
    task = declare(app, idempotency_key="{invoice_id}", autoretry_for=(ValueError,), atomic=True)
    assert keyed(task, 7)[0].key == "7"


@pytest.mark.parametrize(
    ("scope", "hold", "hold_for"),
    [
        ("while_unfinished", "open", None),
        ("forever", "until", None),
        (timedelta(hours=1), "until", 3600.0),
        (90, "until", 90.0),
    ],
)
def test_a_scope_is_how_long_the_key_is_held(app, scope, hold, hold_for):
    job, _ = keyed(declare(app, idempotency_key="k", idempotency_scope=scope), 7)
    assert (job.hold, job.hold_for) == (hold, hold_for)


@pytest.mark.parametrize("conflict", ["existing", "raise", "replace"])
def test_a_conflict_is_what_was_declared(app, conflict):
    assert keyed(declare(app, idempotency_key="k", idempotency_conflict=conflict), 7)[1] == Terms(conflict)


def test_debounce_moves_the_pending_job_of_the_same_arguments(app):
    task = declare(app, debounce=timedelta(seconds=5))
    first, terms = keyed(task, 7)
    assert (first.hold, first.delay, terms.conflict) == ("pending", 5.0, "move")
    assert first.key == keyed(task, 7)[0].key
    other = with_keys(NewJob(an_id(), "shop.send", "q", args="[8]"), task.key_rules, task, (8,), {}, timed=False)[0]
    assert other.key != first.key


def test_debounce_waits_as_long_as_a_countdown_says(app):
    job = NewJob(an_id(), "shop.send", "q", delay=60.0)
    task = declare(app, debounce=5, idempotency_key="k-{invoice_id}")
    assert with_keys(job, task.key_rules, task, (7,), {}, timed=True)[0].delay == 60.0


def test_a_throttle_is_so_many_slots_for_so_long(app):
    job, terms = keyed(declare(app, throttle=(3, timedelta(minutes=1))), 7)
    assert len(set(terms.slots)) == 3
    assert (job.held, job.hold, job.hold_for) == (terms.slots[0], "until", 60.0)
    per_key = declare(app, throttle=(3, 60), idempotency_key="{invoice_id}")
    assert not {*keyed(per_key, 7)[1].slots} & {*keyed(per_key, 8)[1].slots}


def test_an_exclusive_job_waits_in_its_lane_and_has_no_key(app):
    job, terms = keyed(declare(app, exclusive="user-{invoice_id}"), 7)
    assert (job.lane, job.reason, job.key, job.held, terms) == ("user-7", EXCLUSIVE, "", None, None)


@given(st.text(max_size=300))
def test_a_key_of_any_text_is_kept_or_refused(text):
    job = NewJob(an_id(), "shop.send", "q")
    rules = Rules(idempotency_key="{text}")
    if 0 < len(text) <= 200:
        assert with_keys(job, rules, None, (), {"text": text}, timed=False)[0].key == text
    else:
        with pytest.raises(ValueError, match="a key has 1 to 200"):
            with_keys(job, rules, None, (), {"text": text}, timed=False)


def test_a_key_that_does_not_fit_the_call_is_refused_and_says_so():
    rules = Rules(idempotency_key="{order[id]}")
    with pytest.raises(ValueError, match=r"idempotency_key of task shop.send does not fit the call"):
        with_keys(NewJob(an_id(), "shop.send", "q"), rules, None, (), {"order": {}}, timed=False)


# -- what is refused at import


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"idempotency_key": "inv-{invoice}"}, "names 'invoice', which is not one of its arguments"),
        ({"idempotency_key": "inv-{invoice_id:{width}}"}, "names 'width'"),
        ({"idempotency_key": "inv-{}"}, "names '{}'"),
        ({"idempotency_key": "inv-{0}"}, "names '0'"),
        ({"idempotency_key": "inv-{invoice_id"}, "is no format string"),
        ({"idempotency_key": 7}, "must be a format string or a function"),
        ({"exclusive": "user-{user_id}"}, "names 'user_id'"),
        ({"idempotency_key": "k", "idempotency_scope": "for ever"}, "'while_unfinished', 'forever' or a time"),
        ({"idempotency_key": "k", "idempotency_scope": timedelta(0)}, "or a time"),
        ({"idempotency_key": "k", "idempotency_conflict": "ignore"}, "'existing', 'raise' or 'replace'"),
        ({"idempotency_scope": "forever"}, "there is none"),
        ({"debounce": "5s"}, "debounce must be a time"),
        ({"debounce": 5, "idempotency_conflict": "raise"}, "has no say"),
        ({"debounce": 5, "throttle": (1, 5)}, "choose one"),
        ({"throttle": 5}, "throttle must be"),
        ({"throttle": (0, 5)}, "throttle must be"),
        ({"throttle": (1.5, 5)}, "throttle must be"),
        ({"throttle": (1, 5), "idempotency_key": "k", "idempotency_conflict": "replace"}, "replaces nothing"),
    ],
)
def test_what_makes_no_sense_is_refused_at_import_naming_the_task(app, options, why):
    with pytest.raises(ConfigurationError, match=r"keys\.") as refused:
        declare(app, **options)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"retry_on": {"ValueError": None}}, "retry_on"),
        ({"retry_on": [ValueError]}, "retry_on"),
        ({"discard_on": "ValueError"}, "discard_on"),
        ({"autoretry_for": (ValueError, "KeyError")}, "autoretry_for"),
        ({"max_retries": -1}, "max_retries"),
        ({"retry_for": timedelta(seconds=-1)}, "retry_for"),
        ({"retry_backoff": -3}, "delay"),
    ],
)
def test_retries_that_make_no_sense_as_well(app, options, why):
    with pytest.raises(ConfigurationError, match=why):
        declare(app, **options)


# -- one call


def test_a_call_overrules_its_task_and_only_its_own_options_are_taken(app):
    task = declare(app, idempotency_key="inv-{invoice_id}")
    options = {"idempotency_key": "x-{invoice_id}", "idempotency_scope": "forever", "queue": "q"}
    rules = rules_for(task, options)
    assert (rules.idempotency_key, rules.idempotency_scope) == ("x-{invoice_id}", "forever")
    assert options == {"queue": "q"}
    assert not rules_for(task, {"idempotency_key": None})


def test_a_call_is_checked_as_a_task_is(app):
    with pytest.raises(ConfigurationError, match="choose one"):
        rules_for(declare(app), {"debounce": 1, "throttle": (1, 1)})
    with pytest.raises(ConfigurationError, match="debounce"):
        rules_for(None, {"debounce": -1})


def test_a_key_from_a_base_class_is_the_tasks_own(app):
    class Base(app.Task):
        abstract = True
        idempotency_key = "inv-{invoice_id}"

    assert keyed(declare(app, base=Base), 7)[0].key == "inv-7"
    assert not declare(app).key_rules
