"""A ledger as tests speak of it: the verbs of one database, and jobs brought to any state by them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import F

from celeriac.ledger import act, queries, verbs
from celeriac.ledger.audit import Action, Change
from celeriac.ledger.database import clock
from celeriac.ledger.ids import new_id
from celeriac.ledger.models import Attempt, Job, Lease, Queue, Worker
from celeriac.ledger.rows import (
    By,
    ClaimedJob,
    Ending,
    Failure,
    How,
    NewJob,
    Operated,
    Present,
    Renewal,
    Return,
    Settlement,
    Sighting,
)
from celeriac.ledger.selection import Selection
from celeriac.ledger.states import ENDED, State

WORKER = UUID("00000000-0000-4000-8000-000000000001")
HOUR = 3600.0
BY = By("ada", "the shop was down", "a test")


def an_id() -> UUID:
    return UUID(new_id())


def a_job(**fields: Any) -> NewJob:
    return NewJob(**{"id": an_id(), "task": "shop.noop", "queue": "q", **fields})


def a_present(id_: UUID | None = None, **fields: Any) -> Present:
    """A worker, as it would say it."""
    given = {
        "hostname": "w@here",
        "pid": 4711,
        "pool": "prefork",
        "concurrency": 2,
        "queues": '["q"]',
        "heartbeat": 2.0,
    }
    return Present(**{**given, "id": id_ or an_id(), **fields})


def judged(
    *returns: Return, endings: Sequence[Ending] = (), failures: Sequence[Failure] = ()
) -> Callable[[list[ClaimedJob]], verbs.Judged]:
    """A judge whose verdicts are these, whatever it is shown."""
    return lambda held: verbs.Judged(list(returns), list(endings), list(failures))


def all_back(held: list[ClaimedJob]) -> verbs.Judged:
    """The mildest judge: everything runs again, uncharged."""
    return verbs.Judged([back(job) for job in held], [], [])


def ending(job: ClaimedJob, state: str = State.SUCCEEDED, **fields: Any) -> Ending:
    return Ending(job.id, job.claim_no, state, **fields)


def back(job: ClaimedJob, **fields: Any) -> Return:
    return Return(job.id, job.claim_no, **fields)


def story(job: ClaimedJob, **fields: Any) -> Failure:
    given = {"kind": "failed", "exception": "ValueError", "message": "no", "traceback": "Traceback: no", **fields}
    return Failure(job.id, job.claim_no, **given)


def stale(job: ClaimedJob) -> ClaimedJob:
    """The same job, as a claim that is no longer the row's knows it."""
    return job._replace(claim_no=job.claim_no - 1)


class Ledger:
    def __init__(self, alias: str) -> None:
        self.alias = alias

    # -- the verbs, here

    def insert(self, *jobs: NewJob) -> int:
        return verbs.insert(jobs, using=self.alias)

    def insert_waiting(self, job: NewJob, parents: Sequence[UUID]) -> bool:
        return verbs.insert_waiting(job, parents, using=self.alias)

    def insert_keyed(self, job: NewJob, **how: Any) -> verbs.Keyed:
        return verbs.insert_keyed(job, **how, using=self.alias)

    def admit(self, limit: int = 1000) -> dict[str, int]:
        return verbs.admit(limit, using=self.alias)

    def claim(self, limit: int = 1000, queue: str = "q", worker: UUID = WORKER) -> list[ClaimedJob]:
        return verbs.claim(worker, queue, limit, using=self.alias)

    def release(self, *jobs: ClaimedJob) -> dict[str, int]:
        return verbs.release(jobs, using=self.alias)

    def finish(self, *endings: Ending, failures: Sequence[Failure] = ()) -> verbs.Finished:
        return verbs.finish(endings, failures, using=self.alias)

    def reschedule(self, *returns: Return, failures: Sequence[Failure] = ()) -> list[tuple[str, str, int]]:
        return verbs.reschedule(returns, failures, using=self.alias)

    def stage(self, limit: int = 1000) -> verbs.Staged:
        return verbs.stage(limit, using=self.alias)

    def unpark(self, *tasks: str, limit: int = 1000) -> dict[str, int]:
        return verbs.unpark(tasks, limit, using=self.alias)

    def expire(self, limit: int = 1000, **how: Any) -> verbs.Settled:
        return verbs.expire(limit, **how, using=self.alias)

    def announce(self, tellers: Any = lambda dead: [], limit: int = 1000) -> tuple[int, list[NewJob]]:
        return verbs.announce(tellers, limit, using=self.alias)

    def cancel(self, *jobs: Any, **how: Any) -> verbs.Cancelled:
        return verbs.cancel([getattr(job, "id", job) for job in jobs], **how, using=self.alias)

    def settle(self, *settlements: Settlement) -> verbs.Settled:
        return verbs.settle(settlements, using=self.alias)

    def renew(self, present: Present, stale: int | None = None, **knows: Any) -> Renewal:
        return verbs.renew(present, stale, using=self.alias, **knows)

    def leave(self, worker: UUID) -> None:
        verbs.leave(worker, using=self.alias)

    def rescue(self, lost: Sighting, judge: Any = all_back) -> verbs.Rescued | None:
        return verbs.rescue(lost, judge, using=self.alias)

    # -- what operators do

    def action(self, verb: str, selection: Selection, **options: Any) -> Action:
        return act.begin(verb, selection, BY, options, using=self.alias)

    def replay(self, *jobs: Any, **how: Any) -> Operated:
        ids = [getattr(job, "id", job) for job in jobs]
        return verbs.replay(self.action("replay", Selection.of(*ids)), ids, How(**how), using=self.alias)

    def discard(self, *jobs: Any) -> Operated:
        ids = [getattr(job, "id", job) for job in jobs]
        return verbs.discard(self.action("discard", Selection.of(*ids)), ids, using=self.alias)

    def changes(self, action: Action | None = None) -> dict[UUID, str]:
        """What was done, by *action* or by all: id → state before."""
        rows = Change.objects.using(self.alias).filter(**({"action": action} if action else {}))
        return dict(rows.values_list("job_id", "before"))

    # -- what is in it

    def sightings(self) -> dict[UUID, Sighting]:
        return {sighting.id: sighting for sighting in queries.sightings(using=self.alias)}

    @property
    def workers(self) -> Any:
        return Worker.objects.using(self.alias)

    @property
    def lease(self) -> tuple[UUID, int] | None:
        return Lease.objects.using(self.alias).filter(name="upkeep").values_list("holder", "number").first()

    def not_seen_for(self, worker: UUID, seconds: float) -> None:
        """Let a worker's last renewal have been so long ago."""
        assert self.workers.filter(id=worker).update(seen_at=F("seen_at") - timedelta(seconds=seconds)) == 1

    @property
    def jobs(self) -> Any:
        return Job.objects.using(self.alias)

    def row(self, job: Any) -> Job:
        return self.jobs.get(id=getattr(job, "id", job))

    def values(self, job: Any) -> dict[str, Any] | None:
        """Everything the row says, or None where there is none."""
        return self.jobs.filter(id=getattr(job, "id", job)).values().first()

    def state(self, job: Any) -> str:
        return self.row(job).state

    def attempts(self, job: Any) -> list[Attempt]:
        return list(Attempt.objects.using(self.alias).filter(job_id=job.id).order_by("claim_no"))

    def now(self) -> Any:
        return clock(self.alias)

    def pause(self, queue: str, *, paused: bool = True) -> None:
        Queue.objects.using(self.alias).update_or_create(name=queue, defaults={"paused": paused})

    def time_passes(self, *jobs: Any, seconds: float = 2 * HOUR) -> None:
        """Age *jobs*: no test waits for a clock. MariaDB subtracts no timedelta from a NULL, so each by its own."""
        rows = self.jobs.filter(id__in=[getattr(job, "id", job) for job in jobs])
        rows.update(run_at=F("run_at") - timedelta(seconds=seconds))
        rows.filter(expires_at__isnull=False).update(expires_at=F("expires_at") - timedelta(seconds=seconds))

    # -- jobs brought somewhere by the verbs

    def given(self, **fields: Any) -> NewJob:
        job = a_job(**fields)
        assert self.insert(job) == 1
        return job

    def running(self, **fields: Any) -> ClaimedJob:
        [job] = self.running_many(1, **fields)
        return job

    def running_many(self, count: int, **fields: Any) -> list[ClaimedJob]:
        """Claim fresh jobs from a queue of their own, then let them be of the queue asked for."""
        queue, solo = fields.pop("queue", "q"), f"solo-{an_id()}"
        jobs = [a_job(**fields, queue=solo) for _ in range(count)]
        self.insert(*jobs)
        claimed = {job.id: job for job in self.claim(count, solo)}
        assert len(claimed) == count
        self.jobs.filter(queue=solo).update(queue=queue)
        return [claimed[job.id]._replace(queue=queue) for job in jobs]

    def at(self, state: str | None, **fields: Any) -> ClaimedJob:
        """Bring a job to *state*; returns its claim, or one that never was (claim_no 0) where none holds it."""
        if state in {State.RUNNING, *ENDED}:
            end = {name: fields.pop(name) for name in ("reason", "exception", "fingerprint", "error") if name in fields}
            job = self.running(**fields)
            if state in ENDED:
                assert self.finish(ending(job, state, **end)).count == 1
            return job
        how = {State.WAITING: {"reason": "event"}, State.SCHEDULED: {"delay": HOUR}, State.READY: {}, None: {}}[state]
        job = a_job(**{**how, **fields})
        if state is not None:
            assert self.insert(job) == 1
            assert self.state(job) == state
        return ClaimedJob(*job[:8], losses=0, claim_no=0, run_at=self.now(), expires_at=None)

    def children_of(self, *parents: UUID, count: int = 1, **fields: Any) -> list[NewJob]:
        children = [a_job(**fields) for _ in range(count)]
        for child in children:
            assert self.insert_waiting(child, parents)
        return children

    def balances(self, *, inserted: int) -> None:
        """The account: what was inserted is succeeded, dead, cancelled or open, and nothing else."""
        account = queries.account(using=self.alias)
        assert account.inserted == inserted
        assert account.open + account["succeeded"] + account["dead"] + account["cancelled"] == inserted
        assert set(account) == {state.value for state in State}


def ids(jobs: Iterable[Any]) -> list[UUID]:
    return [job.id for job in jobs]
