"""Finding a job by a piece of text: its id, a part of its task's name, or what it was asked with.

PostgreSQL has a full text index over the arguments of the dead (see the migration): whole words, in any order. Names of
tasks are few, so they are looked up first, and a part of a name becomes those names, which have an index. Elsewhere,
and among jobs that are not dead, every row is looked at.
"""

from uuid import UUID

from django.db.models import BooleanField, F, Func, Q, TextField, Value

from celeriac.ledger.database import alias_of, is_postgresql
from celeriac.ledger.models import Job
from celeriac.ledger.names import MOST, names
from celeriac.ledger.states import State

__all__ = ["search"]

#: Words that so many have are found soonest by going through the dead, those that fewer have by their index. The
#: planner cannot tell: for a word it knows nothing of, it went through a million rows (2 s) to find one.
RARE = 4000


class _Words(Func):
    """The very expression that `celeriac_job_words` indexes, or it would not be used."""

    template = "to_tsvector('simple', %(expressions)s)"
    arg_joiner = " || ' ' || "
    output_field = TextField()

    def __init__(self) -> None:
        super().__init__(*(Func(F(name), template="left(%(expressions)s, 20000)") for name in ("args", "kwargs")))


class _Matches(Func):
    template = "%(expressions)s)"
    arg_joiner = " @@ plainto_tsquery('simple', "
    output_field = BooleanField()


def search(text: str, *, dead: bool, rare: int = RARE, using: str | None = None) -> Q:
    """Return the condition that a job has to do with *text*; *dead*: among dead jobs only."""
    found = _has_id(text)
    if not (is_postgresql(using) and dead):
        return found | Q(task__icontains=text) | Q(args__icontains=text) | Q(kwargs__icontains=text)
    found |= Q(task__in=[name for name in names("task", MOST, using=using) if text.lower() in name.lower()])
    words = Q(_Matches(_Words(), Value(text, TextField())))
    rows = Job.objects.using(alias_of(using)).filter(words, state=State.DEAD)
    ids = list(rows.values_list("id", flat=True)[:rare])
    return found | (Q(id__in=ids) if len(ids) < rare else words)


def _has_id(text: str) -> Q:
    try:
        return Q(id=UUID(text))
    except ValueError:
        return Q()
