"""Tasks that every Celeriac app has."""

from typing import Any
from uuid import UUID

__all__ = ["CHORD_JOIN", "RETRIES", "TELL_OF_DEATH", "join_chord", "tell_of_death"]

#: Runs when every header of a chord has ended; its row waits for them from before they exist.
CHORD_JOIN = "celeriac.chord_join"

#: Tells a task's `on_dead` and the signal `job_dead` of one death.
TELL_OF_DEATH = "celeriac.tell_of_death"

#: These must survive a bad minute of the database, or of whom they call.
RETRIES = {"autoretry_for": (Exception,), "retry_backoff": True, "retry_backoff_max": 60, "max_retries": 12}


def join_chord(self: Any, body: Any, header_ids: list[str]) -> None:
    """Run the chord's body with its headers' results, or fail the body if a header failed."""
    self.app.backend.join_chord(body, header_ids)


def tell_of_death(self: Any, job_id: str) -> None:
    """Call the hook of the task that the job was of, then the receivers of `job_dead`; those fail each for itself."""
    from celeriac.ledger.models import Job
    from celeriac.ledger.queries import find
    from celeriac.ledger.states import State
    from celeriac.signals import job_dead

    job = find(UUID(job_id))
    if job is None or job.state != State.DEAD:
        return  # somebody has seen to it already
    task = self.app.tasks.get(job.task)
    if task is not None:
        task.on_dead(job)
    job_dead.send_robust(sender=Job, job=job)
