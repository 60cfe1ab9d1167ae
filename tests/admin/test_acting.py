"""Replay, discard, cancel: asked first, done by whoever may, written down."""

from __future__ import annotations

import pytest
from django.test import Client

from celeriac.ledger import act
from celeriac.ledger.audit import Action
from celeriac.ledger.columns import BATCH
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import OPEN, State
from tests.admin.pages import ACTIONS, JOBS, carried, edit_of, listed, page_of, said, text, to
from tests.ledger_helpers import ending, ids

pytestmark = pytest.mark.django_db(databases=["default", "lite"])

VERBS = {"replay": State.DEAD, "discard": State.DEAD, "cancel": State.READY}
DONE = {"replay": "ready", "discard": "cancelled", "cancel": "cancelled"}


def deaths(ledger, count, **fields):
    jobs = ledger.running_many(count, **fields)
    ledger.finish(*(ending(job, "dead", reason="failed", exception="E", fingerprint="f") for job in jobs))
    return jobs


def the_action(ledger):
    return Action.objects.using(ledger.alias).get()


@pytest.mark.parametrize("verb", VERBS)
def test_one_job_asked_and_done(ledger, operator, verb):
    job, other = ledger.at(VERBS[verb]), ledger.at(VERBS[verb])
    assert f'action="{to(verb)}"' in text(operator.get(page_of(job)))
    asks = operator.post(to(verb), {"selection": said(job)})
    assert carried(asks) == Selection.of(job.id)
    assert ledger.state(job) == VERBS[verb]  # nothing was done yet
    done = operator.post(to(verb), {"selection": said(job), "reason": "the bank is back", "confirmed": "yes"})
    assert (done.status_code, done.headers["Location"]) == (302, page_of(job))
    assert (ledger.state(job), ledger.state(other)) == (DONE[verb], VERBS[verb])
    action = the_action(ledger)
    assert (action.verb, action.actor, action.reason, action.origin) == (
        verb, "operator", "the bank is back", "admin 192.0.2.7",
    )  # fmt: skip
    page = text(operator.get(page_of(job)))
    assert "the bank is back" in page
    assert "1 of 1 job." in page
    assert "What operators did" in page


def test_discard_wants_a_reason(ledger, operator):
    job = ledger.at(State.DEAD)
    again = operator.post(to("discard"), {"selection": said(job), "confirmed": "yes"})
    assert "This field is required" in text(again)
    assert carried(again) == Selection.of(job.id)
    assert ledger.state(job) == State.DEAD


@pytest.mark.parametrize("verb", VERBS)
def test_without_the_permission_nothing_is_offered_and_nothing_done(ledger, viewer, verb):
    job = ledger.at(VERBS[verb])
    for address in (page_of(job), f"{JOBS}?state=all"):
        page = text(viewer.get(address))
        assert "/operate/" not in page
        assert 'name="action"' not in page
    form = {"selection": said(job), "reason": "r", "confirmed": "yes"}
    assert viewer.post(to(verb), form).status_code == 403
    assert viewer.post(f"{JOBS}?state=all", {"action": verb, "_selected_action": job.id, "index": 0}).status_code == 403
    assert viewer.get(edit_of(job)).status_code == 403
    assert viewer.post(edit_of(job), form).status_code == 403
    assert ledger.state(job) == VERBS[verb]


def test_nobody_adds_changes_or_deletes(ledger, operator, admin_client):
    job = ledger.at(State.DEAD)
    before = ledger.values(job)
    for client in (operator, admin_client):
        for model, id_ in (("job", job.id), ("action", job.id), ("change", 1), ("worker", job.id), ("queue", "q")):
            assert client.get(f"/admin/celeriac/{model}/add/").status_code == 403
            assert client.post(f"/admin/celeriac/{model}/add/", {}).status_code == 403
            assert client.post(f"/admin/celeriac/{model}/{id_}/delete/", {"post": "yes"}).status_code in {302, 403}
        assert client.post(page_of(job), {"state": "ready"}).status_code == 405
        assert "delete_selected" not in text(client.get(JOBS))
    assert ledger.values(job) == before


def test_get_changes_nothing_and_a_post_needs_the_token(ledger, operator):
    job = ledger.at(State.DEAD)
    form = {"selection": said(job), "reason": "r", "confirmed": "yes"}
    assert operator.get(to("replay"), form).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    assert strict.post(to("replay"), form).status_code == 403
    assert strict.post(edit_of(job), form).status_code == 403
    assert ledger.state(job) == State.DEAD


@pytest.mark.parametrize(
    "selection",
    [
        "",
        "x",
        "[]",
        "7",
        "null",
        '{"ids": ["7"]}',
        '{"nonsense": 1}',
        '{"ids": 7}',
        '{"since": 7}',
        '{"task": "\\u0000"}',
    ],
)
def test_a_selection_that_is_none_is_refused(ledger, operator, selection):
    assert operator.post(to("replay"), {"selection": selection, "confirmed": "y"}).status_code == 400


def test_a_verb_that_is_none_is_404(ledger, operator):
    assert operator.post(to("delete"), {"selection": said(states=("dead",))}).status_code == 404


def test_ticked_jobs_are_asked_about_and_done(ledger, operator):
    jobs = deaths(ledger, 3, task="shop.pay")
    alive = ledger.given()
    ticked = {"action": "replay", "_selected_action": [str(job.id) for job in [*jobs[:2], alive]], "index": "0"}
    asks = operator.post(f"{JOBS}?state=all", ticked)
    assert carried(asks) == Selection.of(*ids(jobs[:2]), alive.id)
    assert "1 of them" in text(asks)
    assert "shop.pay" in text(asks)
    operator.post(to("replay"), {"selection": carried(asks).as_json(), "confirmed": "yes"})
    action = the_action(ledger)
    assert (action.matched, action.changed, action.skipped) == (3, 2, 1)
    assert ledger.state(jobs[2]) == State.DEAD


def test_all_that_match_goes_as_filters_and_not_as_ids(ledger, operator, django_assert_max_num_queries):
    jobs = deaths(ledger, 60, task="shop.pay")
    others = deaths(ledger, 2, task="shop.other")
    address = f"{JOBS}?task=shop.pay&window=24h"
    across = {"action": "replay", "_selected_action": str(jobs[0].id), "select_across": "1", "index": "0"}
    asks = operator.post(address, across)
    meant = carried(asks)
    assert (meant.ids, meant.states, meant.task) == ((), ("dead",), "shop.pay")
    assert meant.since is not None
    page = text(operator.get(address))
    assert "Replay all" in page  # the same without JavaScript
    operator.post(to("replay"), {"selection": meant.as_json(), "confirmed": "yes"})
    assert the_action(ledger).changed == 60
    assert {ledger.state(job) for job in others} == {"dead"}


def test_more_than_a_batch_is_left_open_and_shown(ledger, operator):
    deaths(ledger, BATCH + 1)
    done = operator.post(to("discard"), {"selection": said(states=("dead",)), "reason": "old", "confirmed": "yes"})
    action = the_action(ledger)
    assert (action.state, action.matched) == ("open", BATCH + 1)
    assert done.headers["Location"] == f"{ACTIONS}{action.pk}/change/"
    page = text(operator.get(done.headers["Location"]))
    assert "a worker goes on with it" in page
    assert f"0 of {BATCH + 1:,}" in page
    act.run(action, using=ledger.alias)
    assert f"{BATCH + 1:,} of {BATCH + 1:,}" in text(operator.get(done.headers["Location"]))


def test_canary_and_rate_are_handed_on_and_an_action_can_be_stopped(ledger, operator, viewer):
    deaths(ledger, 3)
    form = {"selection": said(states=("dead",)), "canary": "on", "rate": "5", "confirmed": "yes"}
    operator.post(to("replay"), form)
    action = the_action(ledger)
    assert (action.state, action.changed) == ("open", 1)
    stop = f"{ACTIONS}{action.pk}/stop/"
    assert stop in text(operator.get(f"{ACTIONS}{action.pk}/change/"))
    assert stop not in text(viewer.get(f"{ACTIONS}{action.pk}/change/"))
    assert viewer.post(stop).status_code == 403
    assert operator.get(stop).status_code == 405
    operator.post(stop, {"reason": "wrong ones"})
    action.refresh_from_db()
    assert action.state == "stopped"
    assert "wrong ones" in action.note
    assert "It was over already" in text(operator.post(stop, follow=True))
    assert "5 jobs a second" in text(operator.get(f"{ACTIONS}{action.pk}/change/"))


@pytest.mark.parametrize("rate", ["0", "-1", "x", "nan", "inf"])
def test_a_rate_that_is_none_is_refused_at_its_field(ledger, operator, rate):
    deaths(ledger, 2)
    again = operator.post(to("replay"), {"selection": said(states=("dead",)), "rate": rate, "confirmed": "yes"})
    assert again.status_code == 200
    assert "errorlist" in text(again)
    assert not Action.objects.using(ledger.alias).exists()


def test_what_succeeded_is_replayed_only_when_that_is_said(ledger, operator):
    job = ledger.at(State.SUCCEEDED)
    asks = operator.post(to("replay"), {"selection": said(job)})
    assert "a second time" in text(asks)
    operator.post(to("replay"), {"selection": said(job), "confirmed": "yes"})
    assert ledger.state(job) == State.SUCCEEDED
    operator.post(to("replay"), {"selection": said(job), "force": "on", "confirmed": "yes"})
    assert ledger.state(job) == State.READY


def test_a_running_job_is_asked_or_terminated(ledger, operator):
    asked, ended = ledger.running(), ledger.running()
    operator.post(to("cancel"), {"selection": said(asked), "confirmed": "yes"})
    operator.post(to("cancel"), {"selection": said(ended), "terminate": "on", "confirmed": "yes"})
    assert [ledger.row(job).cancel for job in (asked, ended)] == ["ask", "SIGTERM"]


def test_a_verb_for_other_states_is_refused(ledger, operator):
    ledger.given()
    assert operator.post(to("discard"), {"selection": said(states=tuple(OPEN))}).status_code == 400
    form = {"selection": said(states=("ready",)), "reason": "r", "confirmed": "yes"}
    assert operator.post(to("replay"), form).status_code == 400
    assert "Discard all" not in text(operator.get(JOBS, {"state": "open"}))
    assert "Cancel all" in text(operator.get(JOBS, {"state": "open"}))


def test_what_was_found_by_its_id_can_be_cancelled_from_the_list(ledger, operator):
    job = ledger.given()
    ticked = {"action": "cancel", "_selected_action": str(job.id), "index": "0"}
    assert carried(operator.post(f"{JOBS}?q={job.id}", ticked)) == Selection.of(job.id)


def test_what_is_gone_by_now_is_no_error(ledger, operator):
    job = ledger.at(State.DEAD)
    ledger.discard(job)
    told = operator.post(to("discard"), {"selection": said(job), "reason": "r", "confirmed": "yes"}, follow=True)
    assert "Discarded 0 of 1 job." in text(told)


def test_the_audit_lists_who_did_what(ledger, operator, viewer):
    jobs = deaths(ledger, 2)
    operator.post(to("discard"), {"selection": said(*jobs), "reason": "<b>why", "confirmed": "yes"})
    page = text(viewer.get(ACTIONS))
    for piece in ("operator", "discard", "2 jobs by their ids", "&lt;b&gt;why", "2 of 2"):
        assert piece in page
    assert "discard" in text(viewer.get(ACTIONS, {"state": "done", "verb": "discard"}))
    assert listed(viewer.get(ACTIONS, {"state": "open"})) == []
    changes = text(viewer.get("/admin/celeriac/change/", {"action": the_action(ledger).pk}))
    for job in jobs:
        assert str(job.id) in changes
