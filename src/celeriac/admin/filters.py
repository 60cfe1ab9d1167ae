"""What the list of jobs can be narrowed to, and the selection that its address stands for.

The sidebar only shows and links: none of its filters touches the query. `selection_of` reads the address, once, for the
list, for "all that match" and for the page that confirms, so that all three mean the same jobs.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from celery import current_app
from django.contrib.admin import SimpleListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest

from celeriac.ledger.database import clock
from celeriac.ledger.names import names
from celeriac.ledger.queries import find
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import OPEN, State

__all__ = ["ALL", "FILTERS", "selection_of", "states_of"]

#: More values than these do not fit beside a list; the search takes a part of a task's name.
MOST = 40

ALL, UNENDED = "all", "open"
STATES = {
    State.DEAD.value: (State.DEAD.value,),
    UNENDED: tuple(sorted(OPEN)),
    **{state.value: (state.value,) for state in State if state != State.DEAD},
    ALL: (),
}
HOUR = timedelta(hours=1)
WINDOWS = {"1h": ("Last hour", HOUR), "24h": ("Last 24 hours", 24 * HOUR), "7d": ("Last 7 days", 7 * 24 * HOUR)}
#: What each state's reasons are; elsewhere there are none.
REASONS = {
    State.DEAD: (
        "exhausted", "expired", "failed", "in_doubt", "lost", "rejected", "timeout", "undecodable", "unencodable",
        "unwritable", "upstream",
    ),
    State.CANCELLED: ("cancelled", "discarded", "expired", "revoked", "terminated"),
    State.SUCCEEDED: ("ignored",),
    State.WAITING: ("event", "exclusive", "replaced", "unregistered"),
}  # fmt: skip


def selection_of(params: Mapping[str, str]) -> Selection:
    """Return the jobs that the list at an address with *params* shows.

    Raises:
        IncorrectLookupParameters: when they make no sense.
    """
    params = {name: value.replace("\0", "") for name, value in params.items()}  # no database takes it
    text = params.get("q", "").strip()
    if (id_ := _as_id(text)) is not None and find(id_) is not None:
        return Selection.of(id_)  # whatever its state: who has the id wants the job
    given: dict[str, Any] = {
        name: params[name] for name in ("task", "queue", "exception", "fingerprint", "reason", "key") if name in params
    }
    try:
        given["states"] = STATES[params.get("state", State.DEAD.value)]
        if "worker" in params:
            given["worker"] = UUID(params["worker"])
        if "window" in params:
            given["since"] = clock() - WINDOWS[params["window"]][1]
    except (KeyError, ValueError) as error:
        raise IncorrectLookupParameters(error) from error
    return Selection(text=text, **given)


def states_of(params: Mapping[str, str]) -> tuple[str, ...]:
    """Return the states that the list at an address with *params* may show, without a query; of none, all."""
    if _as_id(params.get("q", "").strip()) is not None:
        return ()
    return STATES.get(params.get("state", State.DEAD.value), ())


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


class _Filter(SimpleListFilter):
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        return None  # the list asks `selection_of`

    def named(self, values: list[str]) -> list[tuple[str, str]]:
        """Return choices, the chosen one among them even where nothing has it any more."""
        chosen = self.value()
        shown = values if chosen is None or chosen in values else [chosen, *values]
        return [(value, value) for value in shown if value]


class StateFilter(_Filter):
    """Dead, unless something else is asked for."""

    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in STATES]

    def choices(self, changelist: Any) -> Iterator[Any]:
        chosen = self.value() or State.DEAD.value
        for name in STATES:
            link = changelist.get_query_string({"state": None if name == State.DEAD else name})
            yield {"selected": name == chosen, "query_string": link, "display": name.capitalize()}


class WindowFilter(_Filter):
    """Since when it ended, or was asked for."""

    title, parameter_name = "time", "window"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, words) for name, (words, _) in WINDOWS.items()]


class _DeadFilter(_Filter):
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = names(self.parameter_name or "", MOST)
        return self.named(sorted({*found, *self.others(request)})[:MOST])

    def others(self, request: HttpRequest) -> list[str]:
        """Return what else can be chosen where the list is not of the dead; no query."""
        return []


class TaskFilter(_DeadFilter):
    """Tasks of the dead; beside other states also what this process has registered."""

    title, parameter_name = "task", "task"

    def others(self, request: HttpRequest) -> list[str]:
        if request.GET.get("state", State.DEAD) == State.DEAD:
            return []
        return [name for name in current_app.tasks if not name.startswith("celery.")]


class QueueFilter(_DeadFilter):
    """Queues of the dead."""

    title, parameter_name = "queue", "queue"


class ExceptionFilter(_DeadFilter):
    """What the dead are dead of."""

    title, parameter_name = "exception", "exception"


class ReasonFilter(_Filter):
    """Why a job waits, or how it ended."""

    title, parameter_name = "reason", "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        states = STATES.get(request.GET.get("state", State.DEAD.value), ()) or tuple(State)
        return self.named(sorted({reason for state in states for reason in REASONS.get(State(state), ())}))


class _Linked(_Filter):
    """A filter that other pages link to; it is shown only to be taken off."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return self.named([])


class GroupFilter(_Linked):
    """Deaths that look alike."""

    title, parameter_name = "group", "fingerprint"


class KeyFilter(_Linked):
    """Jobs of one idempotency key."""

    title, parameter_name = "key", "key"


class WorkerFilter(_Linked):
    """What a worker runs."""

    title, parameter_name = "worker", "worker"


#: As they stand in the sidebar.
FILTERS = (
    StateFilter, GroupFilter, KeyFilter, WorkerFilter, WindowFilter, TaskFilter, QueueFilter, ExceptionFilter,
    ReasonFilter,
)  # fmt: skip
