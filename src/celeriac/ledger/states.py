"""A job's states, and every move between them, as data.

The verbs are tested against `MOVES`: a verb makes the moves listed here under its name and no other. CHECK constraints
in the models forbid the half-states in between.
"""

from enum import StrEnum

from celery import states as celery_states

__all__ = ["ENDED", "MOVES", "OPEN", "State", "celery_state"]


class State(StrEnum):
    """Where a job stands. Each resting state has one automatic mover."""

    WAITING = "waiting"  # on parents, its turn, or a worker that knows the task; moved by finish, admit, unpark
    SCHEDULED = "scheduled"  # until run_at; moved by stage
    READY = "ready"  # moved by claim
    RUNNING = "running"  # held by one claim; moved by finish, reschedule, release, rescue
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"


ENDED = frozenset({State.SUCCEEDED, State.DEAD, State.CANCELLED})
OPEN = frozenset(State) - ENDED

_RESTING = (State.WAITING, State.SCHEDULED, State.READY)

#: verb → the (from, to) pairs it may make; None is "no row yet".
MOVES: dict[str, frozenset[tuple[State | None, State]]] = {
    "insert": frozenset(
        {
            (None, State.WAITING),
            (None, State.SCHEDULED),
            (None, State.READY),
            # A replaced job's id comes back as the last step of what replaced it.
            (State.WAITING, State.WAITING),
            (State.WAITING, State.SCHEDULED),
            (State.WAITING, State.READY),
            # A step that died because the one before it did, when that one has succeeded after all.
            (State.DEAD, State.WAITING),
            (State.DEAD, State.SCHEDULED),
            (State.DEAD, State.READY),
        }
    ),
    "insert_keyed": frozenset((start, state) for start in (None, *_RESTING, State.DEAD) for state in _RESTING),
    "stage": frozenset({(State.SCHEDULED, State.READY)}),
    "admit": frozenset({(State.WAITING, State.READY)}),
    "unpark": frozenset({(State.WAITING, State.READY)}),
    "expire": frozenset(
        {(state, end) for state in _RESTING for end in (State.CANCELLED, State.DEAD)} | {(State.WAITING, State.READY)}
    ),
    "claim": frozenset({(State.READY, State.RUNNING)}),
    "release": frozenset({(State.RUNNING, State.READY)}),
    "reschedule": frozenset(
        {
            (State.RUNNING, State.SCHEDULED),
            (State.RUNNING, State.READY),
            (State.RUNNING, State.WAITING),
        }
    ),
    "rescue": frozenset(
        {(State.RUNNING, state) for state in (State.SCHEDULED, State.READY, State.DEAD, State.CANCELLED)}
        | {(State.WAITING, State.READY)}
    ),
    "finish": frozenset({(State.RUNNING, state) for state in ENDED} | {(State.WAITING, State.READY)}),
    "cancel": frozenset({(state, State.CANCELLED) for state in _RESTING} | {(State.WAITING, State.READY)}),
    "settle": frozenset(
        {(start, end) for start in (None, *_RESTING) for end in ENDED} | {(State.WAITING, State.READY)}
    ),
    "replay": frozenset({(end, state) for end in ENDED for state in _RESTING}),
    "discard": frozenset({(State.DEAD, State.CANCELLED)}),
}


def celery_state(state: str, attempt: int = 0) -> str:
    """Return Celery's name for *state*; a job scheduled after a failed attempt is RETRY."""
    return "RETRY" if state == State.SCHEDULED and attempt > 0 else _CELERY[State(state)]


_CELERY: dict[State, str] = {
    State.WAITING: celery_states.PENDING,
    State.SCHEDULED: celery_states.PENDING,
    State.READY: celery_states.PENDING,
    State.RUNNING: celery_states.STARTED,
    State.SUCCEEDED: celery_states.SUCCESS,
    State.DEAD: celery_states.FAILURE,
    State.CANCELLED: celery_states.REVOKED,
}
