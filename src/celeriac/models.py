"""Django looks for models here; each room keeps its own."""

from celeriac.ledger.audit import Action, Change
from celeriac.ledger.models import Attempt, Edge, Effect, Job, Lease, Queue, SavedGroup, Worker

__all__ = ["Action", "Attempt", "Change", "Edge", "Effect", "Job", "Lease", "Queue", "SavedGroup", "Worker"]
