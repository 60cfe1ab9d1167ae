"""Django looks for models here; each room keeps its own."""

from celeriac.ledger.audit import Action, Change
from celeriac.ledger.models import Attempt, Edge, Effect, Job, Lease, Queue, SavedGroup, Worker
from celeriac.schedules.models import Schedule, Tick

__all__ = [
    "Action",
    "Attempt",
    "Change",
    "Edge",
    "Effect",
    "Job",
    "Lease",
    "Queue",
    "SavedGroup",
    "Schedule",
    "Tick",
    "Worker",
]
