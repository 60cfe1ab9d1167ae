"""The ledger's tables. They are read with the ORM and changed only by the verbs."""

from django.db import models
from django.db.models import Q

from celeriac.ledger.states import ENDED, OPEN, State

__all__ = ["Attempt", "Edge", "Effect", "Job", "Lease", "Queue", "SavedGroup", "Worker"]

_RESTING = sorted(state.value for state in OPEN - {State.RUNNING})
_ENDED = sorted(state.value for state in ENDED)


class Job(models.Model):
    """A job: one call of a task, from asking to its end."""

    id = models.UUIDField(primary_key=True, editable=False)  # Celery's task id
    task = models.CharField(max_length=255)
    queue = models.CharField(max_length=200)
    priority = models.SmallIntegerField(default=0)  # 0-9, 9 most urgent, whatever the broker
    # JSON in text, not jsonb: jsonb refuses \u0000 and NaN and reorders keys, and the hot path never looks inside.
    args = models.TextField()
    kwargs = models.TextField()
    headers = models.TextField()
    state = models.CharField(max_length=10)
    reason = models.CharField(max_length=40, default="", blank=True)  # why it waits, or how it ended
    attempt = models.IntegerField(default=0)  # attempts that did not succeed; Celery's `retries` while running
    losses = models.SmallIntegerField(default=0)  # attempts whose process died
    # Was held by a worker that died whole, so nobody knows whether its body ran: from now on it runs alone, and the
    # next such death is charged to it.
    suspect = models.BooleanField(db_default=False)
    claim_no = models.IntegerField(default=0)  # the fence: only grows; a finishing write must name it
    waits_for = models.IntegerField(default=0)  # unfinished parents
    run_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    worker = models.UUIDField(null=True)
    # Asked while running: "ask", or the name of the signal that shall end its process. Such a job never runs again.
    cancel = models.CharField(max_length=10, db_default="", blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    result = models.TextField(null=True)  # noqa: DJ001 - null is "no result", "" could never be JSON
    error = models.TextField(null=True)  # noqa: DJ001
    children = models.TextField(null=True)  # noqa: DJ001
    progress = models.TextField(null=True)  # noqa: DJ001 - what update_state() last said while running

    # -- what failed, for the dead
    failing_since = models.DateTimeField(null=True)  # the first failure since it was asked for or replayed
    exception = models.CharField(max_length=255, db_default="", blank=True)  # dotted name of the class it is dead of
    fingerprint = models.CharField(max_length=32, db_default="", blank=True)  # equal where the cause looks the same
    announced = models.BooleanField(db_default=False)  # its death was told to whoever wants to know
    replays = models.IntegerField(db_default=0)  # times an operator sent it back

    # -- one job a key. `held` is what the index makes unique: a digest of task and key while this job holds the key.
    key = models.CharField(max_length=200, db_default="", blank=True)
    held = models.CharField(max_length=32, null=True)  # noqa: DJ001 - NULL is not unique, "" would be
    hold = models.CharField(max_length=8, db_default="", blank=True)  # how long: open, pending, until
    held_until = models.DateTimeField(null=True)  # with hold "until"; NULL is for ever

    # -- one running job a lane: the others wait with the reason "exclusive"; whose turn it is has `turn` = `lane`.
    lane = models.CharField(max_length=200, db_default="", blank=True)
    turn = models.CharField(max_length=200, null=True)  # noqa: DJ001 - as with held

    class Meta:
        db_table = "celeriac_job"
        default_permissions = ["view"]
        permissions = [("operate_job", "Can replay, discard and cancel jobs")]
        constraints = [
            # A known state, and what belongs to it. In one: PostgreSQL reads each constraint anew for each statement.
            models.CheckConstraint(
                condition=Q(state__in=_RESTING, worker__isnull=True, finished_at__isnull=True)
                | Q(state="running", worker__isnull=False, finished_at__isnull=True)
                | Q(state__in=_ENDED, worker__isnull=True, finished_at__isnull=False),
                name="celeriac_job_state",
            ),
            models.CheckConstraint(
                condition=~Q(state="waiting") | Q(waits_for__gt=0) | ~Q(reason=""),
                name="celeriac_job_waiting_has_cause",
            ),
            models.CheckConstraint(condition=Q(priority__range=(0, 9)), name="celeriac_job_priority"),
            models.CheckConstraint(condition=Q(waits_for__gte=0), name="celeriac_job_waits_for"),
            # Conditions, so that the many without a key or a lane cost these indexes nothing. MySQL gets its own
            # (see the migration): there NULL alone keeps them apart.
            models.UniqueConstraint(fields=["held"], name="celeriac_job_held_once", condition=Q(held__isnull=False)),
            models.UniqueConstraint(fields=["turn"], name="celeriac_job_turn_once", condition=Q(turn__isnull=False)),
        ]
        # Each index serves one mover and holds only the rows it moves, so a million finished jobs cost it nothing
        # (docs/decisions/0004-indexes.md has the plans).
        indexes = [
            models.Index(
                fields=["queue", "-priority", "run_at", "id"], name="celeriac_job_claim", condition=Q(state="ready")
            ),
            models.Index(fields=["run_at"], name="celeriac_job_stage", condition=Q(state="scheduled")),
            models.Index(fields=["worker"], name="celeriac_job_held", condition=Q(state="running")),
            models.Index(fields=["task"], name="celeriac_job_parked", condition=Q(state="waiting")),
            models.Index(
                fields=["expires_at"],
                name="celeriac_job_expire",
                condition=Q(expires_at__isnull=False, state__in=["waiting", "scheduled", "ready"]),
            ),
            models.Index(
                fields=["cancel"],
                name="celeriac_job_cancel",
                condition=Q(cancel__gt="", state__in=["waiting", "scheduled", "ready"]),
            ),
            models.Index(
                fields=["lane", "-priority", "run_at", "id"],
                name="celeriac_job_lane",
                condition=Q(state="waiting", reason="exclusive"),
            ),
            # For whoever looks at the dead: newest first, by itself or within what is asked for most.
            models.Index(fields=["finished_at", "id"], name="celeriac_job_dead", condition=Q(state="dead")),
            models.Index(
                fields=["fingerprint", "finished_at", "id"], name="celeriac_job_group", condition=Q(state="dead")
            ),
            models.Index(
                fields=["task", "finished_at", "id"], name="celeriac_job_dead_task", condition=Q(state="dead")
            ),
            models.Index(
                fields=["queue", "finished_at", "id"], name="celeriac_job_dead_queue", condition=Q(state="dead")
            ),
            models.Index(
                fields=["exception", "finished_at", "id"], name="celeriac_job_dead_of", condition=Q(state="dead")
            ),
            models.Index(
                fields=["reason", "finished_at", "id"], name="celeriac_job_dead_why", condition=Q(state="dead")
            ),
            models.Index(fields=["id"], name="celeriac_job_untold", condition=Q(state="dead", announced=False)),
        ]

    def __str__(self) -> str:
        return f"{self.task}[{self.id}]"


class Attempt(models.Model):
    """One run of a job that did not succeed, kept for whoever asks why."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="attempts")
    number = models.IntegerField()  # 1 for the first attempt
    claim_no = models.IntegerField()
    replay = models.IntegerField(db_default=0)  # how often the job had been replayed by then
    kind = models.CharField(max_length=12)  # failed, retry, lost, timeout, rejected
    exception = models.CharField(max_length=255)  # dotted name of the exception's class
    message = models.TextField()
    traceback = models.TextField()
    worker = models.UUIDField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField()

    class Meta:
        db_table = "celeriac_attempt"
        constraints = [models.UniqueConstraint(fields=["job", "claim_no"], name="celeriac_attempt_once")]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.job_id}: {self.exception}"


class Effect(models.Model):
    """An effect outside of the database that a job's `once()` had: begun before it, done after it."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="effects")
    name = models.CharField(max_length=100)
    claim_no = models.IntegerField()  # of the run that began it
    done = models.BooleanField(default=False)  # not done, and the run is over: in doubt
    result = models.TextField(null=True)  # noqa: DJ001 - JSON, once done
    begun_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "celeriac_effect"
        constraints = [models.UniqueConstraint(fields=["job", "name"], name="celeriac_effect_once")]

    def __str__(self) -> str:
        return f"{self.name} of {self.job_id}: {'done' if self.done else 'in doubt, or at it'}"


class Edge(models.Model):
    """*child* waits for the job *parent*; counted down by the statement that ends the parent."""

    # No foreign key on the parent: a chain's last step is waited for before its row exists.
    parent = models.UUIDField()
    child = models.ForeignKey(Job, models.CASCADE, related_name="edges")
    position = models.IntegerField()

    class Meta:
        db_table = "celeriac_edge"
        constraints = [models.UniqueConstraint(fields=["parent", "child"], name="celeriac_edge_once")]

    def __str__(self) -> str:
        return f"{self.child_id} waits for {self.parent}"


class Worker(models.Model):
    """A running worker's presence; the row's id is new at each start, so a restart never inherits claims."""

    id = models.UUIDField(primary_key=True, editable=False)
    hostname = models.CharField(max_length=255)  # Celery's node name
    pid = models.IntegerField()
    pool = models.CharField(max_length=100)
    concurrency = models.IntegerField()
    queues = models.TextField()  # JSON list
    stuck = models.TextField(default="[]")  # JSON list: jobs past a time limit that the pool cannot enforce
    heartbeat = models.FloatField()  # seconds between two renewals
    # PostgreSQL only. Whether the session of the last renewal held the advisory lock, and the start of the server that
    # took it: a lock that is gone while the same server is still up is a session that ended.
    lock = models.BigIntegerField()
    locked = models.BooleanField(default=False)
    server = models.DateTimeField(null=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        db_table = "celeriac_worker"

    def __str__(self) -> str:
        return f"{self.hostname} (pid {self.pid})"


class Lease(models.Model):
    """Who leads a service that one worker does for all. No clock is in it: `number` grows with each renewal.

    And, named `results`, until when somebody waits for some: of that no process but the database keeps the time.
    """

    name = models.CharField(max_length=40, primary_key=True)
    holder = models.UUIDField()
    number = models.BigIntegerField()

    class Meta:
        db_table = "celeriac_lease"

    def __str__(self) -> str:
        return f"{self.name} led by {self.holder}"


class Queue(models.Model):
    """What an operator has said of a queue; a queue nobody spoke of has no row."""

    name = models.CharField(max_length=200, primary_key=True)
    paused = models.BooleanField(default=False)

    class Meta:
        db_table = "celeriac_queue"

    def __str__(self) -> str:
        return self.name


class SavedGroup(models.Model):
    """What `GroupResult.save()` keeps."""

    id = models.CharField(max_length=155, primary_key=True)
    result = models.TextField()  # JSON of GroupResult.as_tuple()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "celeriac_savedgroup"

    def __str__(self) -> str:
        return self.id
