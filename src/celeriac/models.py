"""Django looks for models here; each room keeps its own."""

from celeriac.ledger.models import Attempt, Edge, Job, Queue, SavedGroup, Worker

__all__ = ["Attempt", "Edge", "Job", "Queue", "SavedGroup", "Worker"]
