"""Django signals that Celeriac sends.

@receiver(job_dead)
def page_somebody(job, **kwargs): ...
"""

from django.dispatch import Signal

__all__ = ["job_dead", "schedule_missed"]

#: A job is dead: it failed and will not be tried again. Sent with `job` (the row; `job.attempts` are its failures) and
#: `sender` (the class `celeriac.models.Job`), once a death, in a worker, from a job of its own after the commit. Not
#: for the rest of a failed chain, which dies of the same cause.
job_dead = Signal()

#: A schedule's tick did not fire, or its job has not succeeded in time. Sent with `schedule` (its name), `instant` (the
#: tick's, in UTC), `reason` ("missed": it made no job; "dead", "overdue": with `within`, its job ended otherwise, or is
#: late), `tick` (the row, or None) and `sender` (the class `celeriac.models.Tick`), in a worker, from a job of its own.
schedule_missed = Signal()
