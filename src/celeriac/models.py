"""Django looks for models here; each room keeps its own."""

from celeriac.ledger.models import Attempt, Edge, Job, Lease, Queue, SavedGroup, Worker

__all__ = ["Attempt", "Edge", "Job", "Lease", "Queue", "SavedGroup", "Worker"]
