"""The tables of schedules. They are changed by `sync`, `fire`, `watch` and `operate`, and read by all."""

from django.db import models
from django.db.models import Q

__all__ = ["Schedule", "Tick"]


class Schedule(models.Model):
    """What the ledger knows of one schedule: its definition as read from its source, and where it stands."""

    name = models.CharField(max_length=200, unique=True)
    source = models.CharField(max_length=10)  # settings, task, table (of django-celery-beat)
    origin = models.CharField(max_length=100, blank=True)  # the app whose code defines it; of a table's nothing
    # -- the definition; JSON as `definition` writes it
    task = models.CharField(max_length=255)
    args = models.TextField(default="[]")
    kwargs = models.TextField(default="{}")
    options = models.TextField(default="{}")
    timing = models.TextField(default="{}")
    policy = models.TextField(default="{}")
    description = models.TextField(blank=True)
    enabled = models.BooleanField(default=True)
    once = models.BooleanField(default=False)  # ends with its first tick
    starts_at = models.DateTimeField(null=True)  # not due before
    ends_at = models.DateTimeField(null=True)  # not due from then on
    trouble = models.TextField(blank=True)  # why it cannot fire, or what of it looks wrong
    # -- where it stands
    anchor = models.DateTimeField()  # what intervals are counted from: when it was first seen
    last_tick = models.DateTimeField(null=True)
    next_tick = models.DateTimeField(null=True)  # the first instant nobody has seen to; null: none to come
    skips = models.TextField(default="[]")  # JSON list of instants that an operator took out
    paused_at = models.DateTimeField(null=True)  # by an operator
    changed_at = models.DateTimeField()

    class Meta:
        db_table = "celeriac_schedule"
        default_permissions = ["view"]
        indexes = [
            models.Index(
                fields=["next_tick"],
                name="celeriac_schedule_due",
                condition=Q(next_tick__isnull=False, paused_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Tick(models.Model):
    """An instant at which a schedule was due, and what came of it. The constraint is what makes it one job."""

    # By name: the history outlives a schedule that is gone.
    schedule = models.CharField(max_length=200)
    instant = models.DateTimeField()
    kind = models.CharField(max_length=10, default="due")  # due, now, backfill
    outcome = models.CharField(max_length=10)  # fired, skipped, failed; then how its job ended
    reason = models.CharField(
        max_length=20, blank=True
    )  # why it was skipped: misfire, overlap, blackout, asked, paused
    count = models.IntegerField(default=1)  # instants that this row stands for; the last is `instant`
    job = models.UUIDField(null=True)
    fired_at = models.DateTimeField()
    # Not null while the job is watched; then somebody is told, unless it has succeeded.
    deadline = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    told = models.CharField(max_length=20, blank=True)  # what somebody was told of it: missed, late, dead, overdue
    note = models.TextField(blank=True)

    class Meta:
        db_table = "celeriac_tick"
        default_permissions = ["view"]
        constraints = [
            models.UniqueConstraint(fields=["schedule", "instant"], name="celeriac_tick_once"),
        ]
        indexes = [
            models.Index(fields=["id"], name="celeriac_tick_open", condition=Q(outcome="fired")),
            models.Index(fields=["schedule", "-id"], name="celeriac_tick_of"),
            models.Index(fields=["fired_at"], name="celeriac_tick_age"),
        ]

    def __str__(self) -> str:
        return f"{self.schedule} at {self.instant:%Y-%m-%d %H:%M:%S}: {self.outcome}"
