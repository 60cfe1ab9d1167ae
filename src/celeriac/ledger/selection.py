"""Which jobs an operator means: some by their ids, or all that filters match. It can be kept, and said in words."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any, Self
from uuid import UUID

from django.db.models import Q, QuerySet

from celeriac.ledger.database import alias_of
from celeriac.ledger.ids import job_id
from celeriac.ledger.models import Job
from celeriac.ledger.search import search
from celeriac.ledger.states import ENDED, OPEN, State

__all__ = ["Selection"]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Jobs, by their ids or by filters that all have to match; an empty filter matches everything.

    Attributes:
        ids: these jobs, whatever their state; no filter goes with it.
        states: of these states; left empty, an operators' verb takes those that it is meant for.
        text: in the id or the task's name, or a word of the arguments.
        since, until: when it ended, or when it was asked for if some of *states* are not ends.
    """

    ids: tuple[UUID, ...] = ()
    states: tuple[str, ...] = ()
    task: str = ""
    queue: str = ""
    exception: str = ""
    fingerprint: str = ""
    reason: str = ""
    key: str = ""
    worker: UUID | None = None
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        unknown = set(self.states) - set(State)
        if unknown:
            raise ValueError(f"A job has no state {sorted(unknown)}; it has one of {', '.join(State)}.")
        if self.ids and self.filters:
            raise ValueError(f"A selection is by ids or by filters, not both: {', '.join(self.filters)}.")
        # As Django and JSON hand them over: lists, texts.
        object.__setattr__(self, "ids", tuple(sorted({UUID(str(id_)) for id_ in self.ids})))
        object.__setattr__(self, "states", tuple(sorted({State(state).value for state in self.states})))

    @classmethod
    def of(cls, *ids: UUID | str) -> Self:
        """Return the selection of the jobs *ids*: those of their rows, or Celery's, which callers may have made up."""
        return cls(ids=tuple(job_id(id_) for id_ in ids))

    @property
    def filters(self) -> dict[str, Any]:
        """The filters that are set, by name."""
        return {name: value for name in _FILTERS if (value := getattr(self, name))}

    def within(self, states: Iterable[str]) -> Self:
        """Return the selection with *states* where it says none itself."""
        return self if self.ids or self.states else replace(self, states=tuple(states))

    @property
    def moment(self) -> str:
        """The column that *since* and *until* are about."""
        return "finished_at" if self.states and ENDED.issuperset(self.states) else "created_at"

    def rows(self, using: str | None = None) -> QuerySet[Job]:
        """Return the jobs, in no order."""
        rows = Job.objects.using(alias_of(using))
        if self.ids:
            return rows.filter(id__in=self.ids)
        exact = ("task", "queue", "exception", "fingerprint", "reason", "key", "worker")
        rows = rows.filter(**{name: value for name, value in self.filters.items() if name in exact})
        if len(self.states) == 1:
            rows = rows.filter(state=self.states[0])  # as the partial indexes say it
        elif self.states:
            # Not `IN`, which no partial index is found for.
            rows = rows.filter(reduce(or_, (Q(state=state) for state in self.states)))
        if self.since is not None:
            rows = rows.filter(**{f"{self.moment}__gte": self.since})
        if self.until is not None:
            rows = rows.filter(**{f"{self.moment}__lte": self.until})
        return rows.filter(search(self.text, dead=self.states == (State.DEAD,), using=using) if self.text else Q())

    def as_json(self) -> str:
        """Return JSON that `from_json` reads back."""
        return json.dumps({name: value for name, value in asdict(self).items() if value}, default=_plain)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the selection that `as_json` wrote.

        Raises:
            ValueError: when there is a name or a value in it that no selection has.
        """
        given = json.loads(text)
        known = [field.name for field in fields(cls)]
        if not isinstance(given, dict) or not set(given) <= set(known):
            raise ValueError(f"A selection says {', '.join(known)}, not {text}.")
        given |= {name: datetime.fromisoformat(given[name]) for name in ("since", "until") if name in given}
        if "worker" in given:
            given["worker"] = UUID(given["worker"])
        return cls(**given)

    def __str__(self) -> str:
        if self.ids:
            return f"job {self.ids[0]}" if len(self.ids) == 1 else f"{len(self.ids):,} jobs by their ids"
        said = [f"{word} {value}" for name, word in _WORDS.items() if (value := getattr(self, name))]
        said += [f"of {self.exception}"] if self.exception else []
        said += [f"with {self.text!r} in id, task or arguments"] if self.text else []
        verb = "ended" if self.moment == "finished_at" else "asked for"
        said += [f"{verb} since {self.since:%Y-%m-%d %H:%M:%S}"] if self.since else []
        said += [f"{verb} until {self.until:%Y-%m-%d %H:%M:%S}"] if self.until else []
        states = "open" if set(self.states) == OPEN else " or ".join(self.states) or "all"
        return " ".join([states, "jobs", ", ".join(said)]).strip()


_FILTERS = tuple(field.name for field in fields(Selection) if field.name != "ids")

_WORDS = {
    "task": "of task",
    "queue": "in queue",
    "fingerprint": "of group",
    "reason": "for the reason",
    "key": "with key",
    "worker": "run by worker",
}


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
