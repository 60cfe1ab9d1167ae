"""What operators did: one row an action, one a job that it changed. Written by the verbs themselves."""

from django.db import models
from django.db.models import Q

from celeriac.ledger.models import Job
from celeriac.ledger.selection import Selection

__all__ = ["Action", "Change"]


class Action(models.Model):
    """One thing an operator asked for: who, what, when, why, from where; and how far it has come.

    An action on more jobs than fit into one transaction is open while it goes on, so whoever comes next can go on with
    it: `selection` says which jobs, `created_at` up to which death.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    verb = models.CharField(max_length=20)  # replay, discard, cancel; of a schedule run, pause, resume, skip, backfill
    actor = models.CharField(max_length=150)
    reason = models.TextField(blank=True)
    origin = models.CharField(max_length=100)  # admin and an address, cli and a host, code
    schedule = models.CharField(max_length=200, blank=True, db_default="")  # its name, where it is one that is meant
    selection = models.TextField()  # JSON: ids, or the filters
    options = models.TextField(default="{}")  # JSON: what the verb was told besides
    state = models.CharField(max_length=10)  # open, done, stopped
    stage = models.IntegerField(default=0)  # of a canary: how many it has sent ahead
    note = models.TextField(blank=True)  # why it stopped, what it left out
    matched = models.BigIntegerField()  # jobs, when it was asked for
    changed = models.BigIntegerField(default=0)
    skipped = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()
    moved_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "celeriac_action"
        default_permissions = ["view"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=["open", "done", "stopped"]), name="celeriac_action_state"),
        ]
        indexes = [
            models.Index(fields=["-created_at"], name="celeriac_action_newest"),
            models.Index(fields=["schedule", "-created_at"], name="celeriac_action_of"),
            models.Index(fields=["moved_at"], name="celeriac_action_open", condition=Q(state="open")),
        ]

    def __str__(self) -> str:
        return f"{self.verb} by {self.actor}: {self.changed} of {self.matched}"

    @property
    def selected(self) -> str:
        """What it was done to, in words."""
        return f"schedule {self.schedule}" if self.schedule else str(Selection.from_json(self.selection))


class Change(models.Model):
    """What an action did to one job."""

    action = models.ForeignKey(Action, models.CASCADE, related_name="changes")
    # No CASCADE: what was done to a job outlives it.
    job = models.ForeignKey(Job, models.DO_NOTHING, related_name="changes", db_constraint=False)
    before = models.CharField(max_length=10)  # its state
    diff = models.TextField(blank=True)  # JSON: argument → [before, after]

    class Meta:
        db_table = "celeriac_change"
        constraints = [models.UniqueConstraint(fields=["action", "job"], name="celeriac_change_once")]

    def __str__(self) -> str:
        return f"{self.action_id} on {self.job_id}"
