"""What `test_protocol` believes: logical workers as they see themselves, jobs as the protocol says they must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID

from celeriac.conf import settings
from celeriac.ledger.rows import ClaimedJob
from celeriac.ledger.states import State
from celeriac.worker.losses import line


@dataclass(eq=False)
class Body:
    """A job as the worker that claimed it sees it. Nobody tells it when the ledger sees it otherwise."""

    job: ClaimedJob
    started: bool = False


@dataclass(eq=False)
class Worker:
    """A logical worker. `views` are what it believes to hold, in the order in which it runs them."""

    id: UUID
    state: str = "alive"  # or stalled, or dead
    views: list[Body] = field(default_factory=list)

    def bodies(self, *, started: bool) -> list[Body]:
        return [body for body in self.views if body.started is started]

    def take_on(self, job: ClaimedJob) -> None:
        self.views.append(Body(job))
        self.views.sort(key=lambda body: (not body.job.suspect, line(body.job)))

    def may_start(self) -> Body | None:
        """The next body; suspects are run one after the other, each end written before the next start."""
        suspect_runs = any(body.job.suspect for body in self.bodies(started=True))
        return next((body for body in self.bodies(started=False) if not (suspect_runs and body.job.suspect)), None)

    def lets_go(self, bodies: list[Body]) -> list[ClaimedJob]:
        """It is done with them, whatever the ledger says."""
        self.views = [body for body in self.views if body not in bodies]
        return [body.job for body in bodies]


@dataclass
class Told:
    """What must be so of a job, told without looking at the code."""

    state: str = State.READY
    worker: UUID | None = None
    claim_no: int = 0
    attempt: int = 0
    losses: int = 0
    suspect: bool = False

    def rests(self, state: str, **changed: Any) -> None:
        self.state, self.worker = state, None
        for name, value in changed.items():
            setattr(self, name, value)


class Belief:
    """All jobs and workers, and what the verbs must do to them."""

    def __init__(self, workers: int) -> None:
        self.jobs: dict[UUID, Told] = {}
        self.workers: list[Worker] = []
        self._ids = count(1)
        for _ in range(workers):
            self.another()
        self.accepted: Counter[UUID] = Counter()

    def next_id(self) -> UUID:
        """Ids in order, so that the same example is the same run; their first halves differ, for locks."""
        number = next(self._ids)
        return UUID(int=(number << 64) + number)

    def another(self) -> Worker:
        self.workers.append(Worker(self.next_id()))
        return self.workers[-1]

    def one(self, number: int, fits: Callable[[Worker], object]) -> Worker | None:
        some = [worker for worker in self.workers if fits(worker)]
        return some[number % len(some)] if some else None

    def alive(self, number: int, fits: Callable[[Worker], object] = bool) -> Worker | None:
        return self.one(number, lambda worker: worker.state == "alive" and fits(worker))

    def holds(self, job: ClaimedJob) -> bool:
        told = self.jobs[job.id]
        return told.state == State.RUNNING and told.claim_no == job.claim_no

    def at(self, state: str) -> list[UUID]:
        return [id_ for id_, told in self.jobs.items() if told.state == state]

    def claimed(self, worker: Worker, job: ClaimedJob) -> None:
        told = self.jobs[job.id]
        told.state, told.worker, told.claim_no = State.RUNNING, worker.id, told.claim_no + 1
        assert (job.claim_no, job.losses, job.suspect) == (told.claim_no, told.losses, told.suspect)

    def ended(self, job: ClaimedJob, state: str, charge: int = 1, loss: int = 0) -> None:
        told = self.jobs[job.id]
        assert job.claim_no == told.claim_no
        told.rests(state, attempt=told.attempt + charge, losses=told.losses + loss)
        self.accepted[job.id] += 1

    def charged(self, job: ClaimedJob) -> None:
        """It was running when its process died: attempt and loss, and after so many it is dead."""
        told = self.jobs[job.id]
        if told.losses + 1 == settings().MAX_LOSSES:
            self.ended(job, State.DEAD, charge=1, loss=1)
        else:
            after = State.SCHEDULED if told.losses else State.READY
            told.rests(after, attempt=told.attempt + 1, losses=told.losses + 1)

    def orphaned(self, lost: UUID, held: list[ClaimedJob]) -> None:
        """Of what a lost worker held, the first suspect in line is charged; all others are suspects from now on."""
        suspects = sorted((job for job in held if job.suspect), key=line)
        for job in held:
            if job in suspects[:1]:
                self.never_the_wrong_one(lost, job)
                self.charged(job)
            else:
                self.jobs[job.id].rests(State.READY, suspect=True)

    def never_the_wrong_one(self, lost: UUID, charged: ClaimedJob) -> None:
        """If a suspect was running in that worker, it is the one that is charged."""
        [worker] = [worker for worker in self.workers if worker.id == lost]
        running = [body.job.id for body in worker.bodies(started=True) if body.job.suspect and self.holds(body.job)]
        assert running in ([], [charged.id])
