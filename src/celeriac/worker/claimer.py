"""The claimer: one thread that waits for a bell or a free slot, claims, and hands the claims to the pool."""

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from celery.platforms import signals
from django.db import connections

from celeriac.api import payload
from celeriac.conf import settings
from celeriac.ledger import bell
from celeriac.ledger.database import can_notify, connection_of, poll_seconds
from celeriac.ledger.doorbell import Ear
from celeriac.ledger.queries import cancels_of, held_by
from celeriac.ledger.rows import ClaimedJob, Ending, Return
from celeriac.ledger.verbs import claim, finish, release, reschedule
from celeriac.loops import Backoff, is_outage
from celeriac.outcomes import Kind, Outcome, Policy, judge
from celeriac.worker.aftermath import tell_of_death, tell_of_revocation
from celeriac.worker.board import JOBS, Board
from celeriac.worker.dispatch import Dispatcher, Fallen, InFlight, kind_of_death
from celeriac.worker.flusher import LONGEST
from celeriac.worker.pace import Pace, deal
from celeriac.worker.story import error_json, failure

__all__ = ["Claimer"]

logger = logging.getLogger("celeriac")

Limits = tuple[float | None, float | None]


class Claimer(threading.Thread):
    """Claims for one worker. Everything it holds it has either dispatched or given back by the end of a round."""

    def __init__(self, worker: Any, id_: UUID, board: Board, *, on_scheduled: Any) -> None:
        super().__init__(name="celeriac-claimer", daemon=True)
        self.worker = worker
        self.id = id_
        self.listener = bell.Listener(Ear())
        self.dispatcher = Dispatcher(worker, board, self.listener.wake)
        self.pace = Pace(settings().CLAIM_SECONDS)
        self.to_terminate: dict[UUID, Any] = {}
        self._on_scheduled = on_scheduled
        self._stopping = False
        self._backoff = Backoff("celeriac worker")
        self._hot: dict[str, None] = {}  # queues believed to have ready jobs, in the order they take turns
        self._listening = False
        self._doubtful = False  # an outage may have eaten the answer to a claim that the ledger has committed
        self._looked = 0.0
        self._cancels = False  # somebody asked to cancel a job that may be ours
        self._asked: dict[UUID, str] = {}  # what the last look found
        self._told_of_pool = False

    def stop(self) -> None:
        """Claim nothing more; end the thread once what the pool has is back."""
        self._stopping = True
        self.listener.wake()

    def run(self) -> None:
        while not (self._stopping and not self.dispatcher.claims and not self.dispatcher.fallen):
            try:
                self._round()
                self._backoff.recovered()
            except Exception as error:
                connections.close_all()
                self._listening = False
                self._doubtful = True
                if is_outage(error):
                    self.listener.wait(self._backoff.failed(error))
                else:
                    logger.exception("celeriac worker: a round failed; it goes on")
                    self.listener.wait(1.0)
        self.listener.close()
        connections.close_all()

    # -- one round

    def _round(self) -> None:
        connection = connection_of()
        if can_notify() and not self._listening:
            self.listener.listen(connection, bell.READY)
            self._listening = True
            self._looked = 0.0  # rings before we listened went unheard
            self._cancels = True
        self._take_stock()
        if self._doubtful:
            self._give_back_strays()
            self._doubtful = False
        poll = poll_seconds()
        if time.monotonic() - self._looked >= poll:
            self._looked = time.monotonic()
            self._cancels = self._cancels or not self._listening
            self._hot.update(dict.fromkeys(self.queues()))
        if self._cancels:
            self._cancels = False
            self.mark_cancels()
        if not self._stopping:
            while self._hot and self.dispatcher.free:
                self._claim_from(next(iter(self._hot)))
        wait = max(0.0, self._looked + poll - time.monotonic()) if not self.to_terminate else 0.02
        for channel, queue in self.listener.wait(wait, connection if self._listening else None):
            if queue == bell.SCHEDULED:
                self._on_scheduled()
            elif queue == bell.CANCEL:
                self._cancels = True
            elif channel == bell.READY and queue in self.queues():
                self._hot[queue] = None

    def queues(self) -> Iterable[str]:
        """Return the names of the queues this worker consumes, now (`control add_consumer` may change them)."""
        return list(self.worker.app.amqp.queues.consume_from)

    def _claim_from(self, queue: str) -> None:
        self._hot.pop(queue)
        free = self.dispatcher.free
        wanted = self.pace.capacity(free)
        jobs = claim(self.id, queue, wanted)
        if len(jobs) == wanted:
            self._hot[queue] = None  # there is probably more; the other queues have their turn first
        if jobs:
            self._dispatch(jobs, free)

    def _dispatch(self, jobs: Sequence[ClaimedJob], free: int) -> None:
        back: list[ClaimedJob] = []
        for limits, group in self._by_limits(jobs).items():
            slots = min(free, self.dispatcher.free)
            if not slots:
                back.extend(group)
                continue
            soft, hard = limits
            # A claim may have run this long before its slow job started; the flusher looks twice in CLAIM_SECONDS.
            extra = (LONGEST + 0.5) * settings().CLAIM_SECONDS
            for hand in deal(group, [self.pace.expect(job.task) for job in group], slots):
                back.extend(hand[JOBS:])  # more than the board has room for
                if not self.dispatcher.dispatch(hand[:JOBS], soft and soft + extra, hard and hard + extra):
                    back.extend(hand[:JOBS])
        if back:
            bell.ring_ready(release(back))

    def _by_limits(self, jobs: Sequence[ClaimedJob]) -> Mapping[Limits, list[ClaimedJob]]:
        groups: dict[Limits, list[ClaimedJob]] = {}
        for job in jobs:
            groups.setdefault(self._limits(job), []).append(job)
        return groups

    def _limits(self, job: ClaimedJob) -> Limits:
        """Return (soft, hard) seconds for a job: the call's, else the task's, else the worker's."""
        task = self.worker.app.tasks.get(job.task)
        soft, hard = getattr(task, "soft_time_limit", None), getattr(task, "time_limit", None)
        if '"timelimit"' in job.headers:
            called_hard, called_soft = payload.decode(job.headers).get("timelimit") or (None, None)
            soft, hard = called_soft or soft, called_hard or hard
        return soft or self.worker.soft_time_limit, hard or self.worker.time_limit

    # -- what came back

    def _take_stock(self) -> None:
        while self.dispatcher.reports:
            ran = self.dispatcher.reports.popleft()
            self.pace.observe(ran.stats)
            if ran.released:
                self._hot.update(dict.fromkeys(self.queues()))
        while self.dispatcher.fallen:
            # Kept until it is written: an outage here must not forget a claim.
            self._bring_back(self.dispatcher.fallen[0])
            self.dispatcher.fallen.popleft()
        for id_, signal in list(self.to_terminate.items()):
            if self.dispatcher.terminate(id_, signal) is not None:
                self.to_terminate.pop(id_, None)

    def look_for_cancels(self) -> None:
        """Have the ledger asked soon which of our jobs are to be cancelled; from any thread."""
        self._cancels = True
        self.listener.wake()

    def mark_cancels(self) -> None:
        """Mark on the board, and see to the end of, what somebody asked to cancel.

        Called from another thread only where the pool blocks this one.
        """
        if not self.dispatcher.claims:
            return
        before, self._asked = self._asked, dict(cancels_of(self.id))
        for id_, how in self._asked.items():
            self.dispatcher.cancel(id_)
            if how in {"ask", before.get(id_)}:
                continue  # a second signal would interrupt the cleaning up after the first
            if self.dispatcher.terminates:
                self.to_terminate[id_] = signals.signum(how)
            elif not self._told_of_pool:
                self._told_of_pool = True
                logger.warning(
                    "Job %s was revoked with terminate=True, but only the prefork pool can end a body from outside: "
                    "here it is asked, and may look at self.cancelled(). (Said once.)",
                    id_,
                )

    def mark_cancels_while_blocked(self) -> float:
        """A round for a `Loop`: a body that this thread runs itself keeps it from hearing who wants it cancelled."""
        self.mark_cancels()
        return poll_seconds()

    def _tell(self, job: ClaimedJob, state: str, error: Exception) -> None:
        if state == "cancelled":
            tell_of_revocation(self.worker.app, job, self.worker.hostname, error)
        else:
            tell_of_death(self.worker.app, job, self.worker.hostname, error)

    def _give_back_strays(self) -> None:
        """Release what the ledger says we run and we know nothing of."""
        claims: list[InFlight | Fallen] = [*self.dispatcher.claims, *self.dispatcher.fallen]
        known = {job.id for claim_ in claims for job in claim_.jobs}
        strays = [job for job in held_by(self.id) if job.id not in known]
        bell.ring_ready(release(strays))

    def _bring_back(self, fallen: Fallen) -> None:
        """Charge the job that was running when its process died; give its claim-mates back without penalty.

        Jobs of the claim that had ended are already out of our hands: the fence leaves them alone.
        """
        mates = [job for job in fallen.jobs if job not in fallen.blamed]
        freed = set(release(mates))
        for job in fallen.blamed:
            outcome = Outcome(Kind(kind_of_death(fallen.error)))
            verdict = judge(outcome, job.losses, Policy(max_losses=settings().MAX_LOSSES))
            story = failure(job, outcome.kind.value, fallen.error)
            if verdict.final:
                error = error_json(fallen.error) if verdict.state == "dead" else None
                ending = Ending(job.id, job.claim_no, verdict.state, verdict.reason, verdict.charge, verdict.loss)
                finished = finish([ending._replace(error=error)], [story])
                freed.update(finished.freed)
                bell.ring_done()
                if not finished.stale:
                    self._tell(job, verdict.state, fallen.error)
            else:
                charged = Return(job.id, job.claim_no, "", verdict.charge, verdict.loss, verdict.delay)
                reschedule([charged], [story])
                freed.add(bell.SCHEDULED if verdict.delay else job.queue)
            logger.error(
                "Job %s[%s] was running when its process ended (%s): %s",
                *(job.task, job.id, fallen.error, verdict.reason or verdict.state),
            )
        self._hot.update(dict.fromkeys(freed & set(self.queues())))
        bell.ring_ready(freed)
