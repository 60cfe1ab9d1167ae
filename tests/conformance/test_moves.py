"""The diagram is data: each verb, driven from every state in every way, makes the moves of `MOVES` and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction

from celeriac import events
from celeriac.ledger.rows import ClaimedJob, Settlement, Sighting
from celeriac.ledger.states import ENDED, MOVES, OPEN, State
from celeriac.ledger.verbs import Judged
from tests.ledger_helpers import HOUR, WORKER, Ledger, a_job, an_id, back, ending, stale

STARTS = (None, *State)
Move = tuple[str | None, str]
Act = Callable[[Ledger, ClaimedJob], Any]


def again(**fields: Any) -> Act:
    return lambda ledger, job: ledger.insert(a_job(id=job.id, args='["again"]', **fields))


def keyed(held: str | None = "k", **fields: Any) -> Act:
    """Asked for again by its id, or by the key that it holds by now."""

    def act(ledger: Ledger, job: ClaimedJob) -> None:
        ledger.jobs.filter(id=job.id).update(held=held)
        ledger.insert_keyed(
            a_job(id=job.id if held is None else an_id(), args='["again"]', held="k", **fields), conflict="replace"
        )

    return act


def ended(state: str, of: Callable[[ClaimedJob], ClaimedJob] = lambda job: job) -> Act:
    return lambda ledger, job: ledger.finish(ending(of(job), state))


def returned(**fields: Any) -> Act:
    return lambda ledger, job: ledger.reschedule(back(job, **fields))


def settled(state: str, **fields: Any) -> Act:
    return lambda ledger, job: ledger.settle(Settlement(job.id, state, **fields))


def rescued(**fields: Any) -> Act:
    """The worker of all claims here is lost, and its jobs go back."""
    judge = lambda held: Judged([back(job, **fields) for job in held], [], [])  # noqa: E731
    return lambda ledger, _: ledger.rescue(Sighting(WORKER), judge)


def rescued_to(state: str) -> Act:
    judge = lambda held: Judged([], [ending(job, state) for job in held], [])  # noqa: E731
    return lambda ledger, _: ledger.rescue(Sighting(WORKER), judge)


def deadly(id_: Any, task: str, asked: str) -> Settlement:
    """How a job ends whose task says that its expiry is a death."""
    return Settlement(id_, State.DEAD, "expired")


ACTS: dict[str, list[Act]] = {
    "insert": [again(), again(delay=HOUR), again(waits_for=1), again(reason="event")],
    "insert_keyed": [
        *(keyed(held=None, **where) for where in ({}, {"delay": HOUR}, {"reason": "event"})),
        *(keyed(**where) for where in ({}, {"delay": HOUR}, {"lane": "a", "reason": "exclusive"})),
    ],
    "admit": [lambda ledger, job: ledger.admit()],
    "stage": [lambda ledger, job: ledger.stage()],
    "unpark": [lambda ledger, job: ledger.unpark("shop.noop")],
    "expire": [lambda ledger, job: ledger.expire(end=deadly), lambda ledger, job: ledger.expire()],
    "claim": [lambda ledger, job: ledger.claim()],
    "release": [lambda ledger, job: ledger.release(stale(job)), lambda ledger, job: ledger.release(job)],
    "reschedule": [returned(), returned(delay=HOUR), returned(reason="event", charge=1)],
    "rescue": [rescued(), rescued(delay=HOUR), rescued_to(State.DEAD), rescued_to(State.CANCELLED)],
    "finish": [ended(state, of) for state in sorted(ENDED) for of in (stale, lambda job: job)],
    "cancel": [lambda ledger, job: ledger.cancel(job, signal="SIGTERM"), lambda ledger, job: ledger.cancel(job)],
    "replay": [
        lambda ledger, job: ledger.replay(job, force=True, delay=HOUR),
        lambda ledger, job: ledger.replay(job, force=True),
    ],
    "discard": [lambda ledger, job: ledger.discard(job)],
    "settle": [settled(state, **named) for state in sorted(ENDED) for named in ({}, {"task": "shop.noop"})],
}

#: How else a job can stand there, favouring each verb in turn.
SITUATIONS: dict[str | None, list[dict[str, Any]]] = {
    State.WAITING: [
        {"reason": "event"},
        {"reason": "replaced"},
        {"reason": "exclusive", "lane": "a"},
        {"reason": "unregistered"},
    ],
    State.SCHEDULED: [{}, {"attempt": 2}],
    State.SUCCEEDED: [{"lane": "one by one"}, {}],
    State.DEAD: [{"reason": "upstream"}, {"lane": "one by one"}, {}],
    State.CANCELLED: [{"lane": "one by one"}, {}],
}


def cases(start: str | None) -> Iterator[tuple[dict[str, Any], bool]]:
    for fields in SITUATIONS.get(start, [{}]):
        for aged in (False, True):
            yield fields, aged


def shapes(ledger: Ledger, *jobs: Any) -> list[tuple[str, str] | None]:
    """Where each job stands, and whether it is still the job that was asked for."""
    ids = [job.id for job in jobs]
    found = {id_: shape for id_, *shape in ledger.jobs.filter(id__in=ids).values_list("id", "state", "args")}
    return [found.get(id_) for id_ in ids]


def observed(ledger: Ledger, act: Act) -> set[Move]:
    moves: set[Move] = set()
    for start in STARTS:
        for fields, aged in cases(start):
            undo = transaction.savepoint(ledger.alias)
            job = ledger.at(start, **{**fields, "expires_in": HOUR} if aged else fields)
            [child] = ledger.children_of(job.id, queue="elsewhere")
            if aged:
                ledger.time_passes(job)
            before = shapes(ledger, job, child)
            act(ledger, job)
            after = shapes(ledger, job, child)
            moves |= {(was and was[0], now[0]) for was, now in zip(before, after, strict=True) if now != was}
            transaction.savepoint_rollback(undo, ledger.alias)
    return moves


def all_moves() -> list[tuple[str, Move]]:
    return [(verb, move) for verb, moves in MOVES.items() for move in moves]


def test_every_verb_is_driven():
    assert set(ACTS) == set(MOVES)


@pytest.mark.parametrize("verb", sorted(MOVES))
def test_a_verb_makes_its_moves_and_no_other(ledger, verb):
    assert set().union(*(observed(ledger, act) for act in ACTS[verb])) == MOVES[verb]


@pytest.mark.parametrize("verb", sorted(MOVES))
def test_a_verb_says_what_it_did_as_an_event_of_its_own_name(ledger, verb):
    """And as no other's: metrics count events, so one move told twice would be two."""
    heard: list[str] = []
    start = min((start for start, _ in MOVES[verb]), key=str)
    situation = {"admit": {"reason": "exclusive", "lane": "a"}}.get(verb, SITUATIONS.get(start, [{}])[-1])
    job = ledger.at(start, **situation, expires_in=HOUR)
    if verb in {"stage", "expire"}:
        ledger.time_passes(job)
    subscriber = events.subscribe(lambda name, _facts: heard.append(name))
    try:
        ACTS[verb][-1](ledger, job)
    finally:
        events.unsubscribe(subscriber)
    assert heard == [verb]


def test_every_state_is_either_open_or_ended():
    assert set(State) == OPEN | ENDED
    assert not OPEN & ENDED


@pytest.mark.parametrize("state", sorted(OPEN))
def test_every_open_state_has_a_way_in_and_a_way_out(state):
    assert [move for _, move in all_moves() if move[1] == state != move[0]]
    assert [move for _, move in all_moves() if move[0] == state != move[1]]


def test_an_end_is_the_end_unless_an_operator_says_otherwise():
    """Or the step before comes to its end after all: `insert` takes back what died for that alone."""
    left = {verb: {start for start, _ in moves if start in ENDED} for verb, moves in MOVES.items()}
    assert {verb: starts for verb, starts in left.items() if starts} == {
        "replay": set(ENDED),
        "discard": {State.DEAD},
        "insert": {State.DEAD},
        "insert_keyed": {State.DEAD},
    }


def test_only_claim_leads_to_running_and_only_fenced_verbs_away():
    assert {verb for verb, (_, to) in all_moves() if to == State.RUNNING} == {"claim"}
    assert {verb for verb, (start, _) in all_moves() if start == State.RUNNING} == {
        *("release", "reschedule", "finish", "rescue")
    }
