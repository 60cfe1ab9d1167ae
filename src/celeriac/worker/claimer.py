"""The claimer: one thread that waits for a bell or a free slot, claims, and hands the claims to the pool."""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from celeriac import faults
from celeriac.conf import settings
from celeriac.ledger import bell, prepared
from celeriac.ledger.database import can_notify, committed, connection_of, poll_seconds, unforked
from celeriac.ledger.doorbell import KNOCK, RESTED_SECONDS, Ear
from celeriac.ledger.queries import held_by
from celeriac.ledger.rows import ClaimedJob, Return
from celeriac.ledger.verbs import claim, claim_ahead, finish, release, reschedule
from celeriac.loops import Backoff, is_outage
from celeriac.upkeep.census import LEASE
from celeriac.worker.aftermath import tell
from celeriac.worker.board import JOBS, Board, now
from celeriac.worker.cancels import Cancels
from celeriac.worker.dispatch import Dispatcher, kind_of_death
from celeriac.worker.inflight import Fallen, Interrupted
from celeriac.worker.limits import Limits
from celeriac.worker.losses import judge_blamed
from celeriac.worker.pace import Pace, deal

__all__ = ["Claimer"]

logger = logging.getLogger("celeriac")

Jobs = Sequence[ClaimedJob]

#: A suspect that has to wait for the one before it comes back after this many seconds.
SUSPECT_SECONDS = 0.25


class Claimer(threading.Thread):
    """Claims for one worker. Everything it holds it has either dispatched or given back by the end of a round."""

    def __init__(self, worker: Any, id_: UUID, board: Board, *, on_scheduled: Any) -> None:
        super().__init__(name="celeriac-claimer", daemon=True)
        self.worker = worker
        self.id = id_
        self.listener = bell.Listener(Ear())
        self.dispatcher = Dispatcher(worker, board, self.listener.wake)
        self.cancels = Cancels(id_, self.dispatcher, self.listener.wake)
        self.pace = Pace(settings().CLAIM_SECONDS)
        self.limits = Limits(worker)
        self._queues = worker.app.amqp.queues
        self._on_scheduled = on_scheduled
        self._stopping = False
        self._backoff = Backoff("celeriac worker")
        self._hot: dict[str, None] = {}  # queues believed to have ready jobs, in the order they take turns
        self._deep: set[str] = set()  # those of which the last claim got all that it wanted
        self._listening = False
        self._doubtful = False  # an outage may have eaten the answer to a claim that the ledger has committed
        self._looked = 0.0
        self._look_again = 0.0
        self._strays: set[tuple[UUID, int]] = set()

    def stop(self) -> None:
        """Claim nothing more; end the thread once what the pool has is back."""
        self._stopping = True
        self.listener.wake()

    def run(self) -> None:
        while not (self._stopping and self._owes_nothing()):
            try:
                self._round()
                self._backoff.recovered()
            except Exception as error:
                with unforked():
                    connections.close_all()
                self._listening = False
                self._doubtful = True
                if is_outage(error):
                    self.listener.wait(self._backoff.failed(error))
                else:
                    logger.exception("celeriac worker: a round failed; it goes on")
                    self.listener.wait(1.0)
        self.listener.close()
        with unforked():
            connections.close_all()

    def _owes_nothing(self) -> bool:
        return not (self.dispatcher.claims or self.dispatcher.fallen or self.dispatcher.to_release)

    # -- one round

    def _round(self) -> None:
        connection = connection_of()
        if can_notify() and not self._listening:
            self.listener.listen(connection, bell.READY)
            prepared.pin(connection, "claim")
            self._listening = True
            self._looked = 0.0  # rings before we listened went unheard
            self.cancels.asked = True
        self._take_stock()
        if self._doubtful or time.monotonic() >= self._look_again:
            self._give_back_strays(at_once=self._doubtful)
            self._doubtful = False
            self._look_again = time.monotonic() + LEASE * settings().HEARTBEAT_SECONDS
        poll = poll_seconds()
        if time.monotonic() - self._looked >= poll:
            self._looked = time.monotonic()
            self.cancels.asked = self.cancels.asked or not self._listening
            self._hot.update(dict.fromkeys(self.queues()))
        if self.cancels.asked:
            self.cancels.look()
        self._claim_hot(connection)
        wait = max(0.0, self._looked + poll - time.monotonic()) if not self.cancels.to_terminate else 0.02
        for channel, queue in self.listener.wait(wait, connection if self._listening else None):
            if queue == bell.SCHEDULED:
                self._on_scheduled()
            elif queue == bell.CANCEL:
                self.cancels.asked = True
            elif queue.startswith(KNOCK):
                self._wake_up_for(queue.removeprefix(KNOCK))
            elif channel == bell.READY and queue in self._queues.consume_from:
                self._hot[queue] = None
        self._claim_hot(connection)  # what rang comes before the book-keeping of the next round

    def _wake_up_for(self, queue: str) -> None:
        # A claim that finds nothing yet, made while the job is being written: the one that its ring asks for then finds
        # this process, and the one that serves it, awake. Who has claimed just now is.
        if queue in self._queues.consume_from and now() - self.dispatcher.claimed >= RESTED_SECONDS:
            self._hot[queue] = None

    def _claim_hot(self, connection: BaseDatabaseWrapper) -> None:
        # Not while others may take us for lost: no body would start.
        board = self.dispatcher.board
        while self._hot and not self._stopping and now() < board.fresh_until:
            queue = next(iter(self._hot))
            if not (free := self.dispatcher.free or int(self._may_spare(queue))):
                break
            self._claim_from(queue, free, connection)

    def _may_spare(self, queue: str) -> bool:
        # Quick jobs are over before the next claim is there: one waits in the pool for whoever ends first. Not of a
        # queue without a backlog: what comes in the meantime may be more urgent.
        return queue in self._deep and self.pace.is_quick and self.dispatcher.may_spare

    def queues(self) -> Iterable[str]:
        """Return the names of the queues this worker consumes, now (`control add_consumer` may change them)."""
        return list(self._queues.consume_from)

    def _claim_from(self, queue: str, free: int, connection: BaseDatabaseWrapper) -> None:
        self._hot.pop(queue)
        wanted = self.pace.capacity(free)
        self.dispatcher.claimed = now()
        # Not around the dispatch: the pool may make that wait for a process that is yet to be forked.
        with unforked():
            if self.dispatcher.has_processes:
                jobs, commit = claim_ahead(self.id, queue, wanted, using=connection)
            else:  # it may run them in the call that gives it them
                jobs, commit = claim(self.id, queue, wanted, using=connection), committed
        self._deep.discard(queue)
        if len(jobs) == wanted:
            self._deep.add(queue)
            self._hot[queue] = None  # there is probably more; the other queues have their turn first
        hands, left = self._hands(jobs, free)
        done = False
        try:
            for hand in hands[:1]:  # while the database writes the claim to its disk
                left += self._give(hand, ahead=self.dispatcher.has_processes)
            faults.point("claimer.before_commit")
            commit()
            done = True
        finally:
            self.dispatcher.decide(committed=done)
        for hand in hands[1:]:  # not before: the pool may make us wait, and the first hand waits for us
            left += self._give(hand)
        if back := [job for job in left if not job.suspect]:
            bell.ring_ready(release(back))
        if waiting := [job for job in left if job.suspect]:
            reschedule([Return(job.id, job.claim_no, delay=SUSPECT_SECONDS, suspect=True) for job in waiting])
            bell.ring_ready([bell.SCHEDULED])

    def _hands(self, jobs: Jobs, free: int) -> tuple[list[Jobs], list[ClaimedJob]]:
        """Return what free slots are to get, and the jobs that get none.

        Suspects go first, and run one after the other, in one claim at a time: see `losses`.
        """
        hands: list[Jobs] = []
        left: list[ClaimedJob] = []
        if suspects := [job for job in jobs if job.suspect]:
            jobs = [job for job in jobs if not job.suspect]
            if any(job.suspect for claim_ in self.dispatcher.claims for job in claim_.jobs):
                left.extend(suspects)
            else:
                hands.append(suspects)
        if len(hands) < free:
            hands += deal(jobs, [self.pace.expect(job.task) for job in jobs], free - len(hands))
        else:
            left.extend(jobs)
        return hands, left

    def _give(self, hand: Jobs, *, ahead: bool = False) -> Jobs:
        """Dispatch *hand*; return what of it the pool has no room for."""
        fits, more = hand[:JOBS], hand[JOBS:]  # of the board
        taken = self.dispatcher.dispatch(fits, self.limits.of_all(fits), careful=hand[0].suspect, ahead=ahead)
        return more if taken else hand

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
        while self.dispatcher.to_release:
            bell.ring_ready(release(self.dispatcher.to_release[0]))
            self.dispatcher.to_release.popleft()
        self.cancels.terminate()

    def _give_back_strays(self, *, at_once: bool) -> None:
        """Release what the ledger says we run and we know nothing of: an outage ate the answer to its claim.

        The claim may even commit after we looked, if the server went on with it; so we look now and then without cause,
        and then believe it the second time.
        """
        claims = [*self.dispatcher.claims, *(fallen.claim for fallen in self.dispatcher.fallen)]
        known = {job.id for claim_ in claims for job in claim_.jobs if not claim_.refused}
        with unforked():
            held = held_by(self.id)
        strays = {(job.id, job.claim_no): job for job in held if job.id not in known}
        before, self._strays = self._strays, set(strays)
        bell.ring_ready(release([job for key, job in strays.items() if at_once or key in before]))

    def _bring_back(self, fallen: Fallen) -> None:
        """Charge the job that was running when its process died; give its claim-mates back without penalty.

        Jobs of the claim that had ended are already out of our hands: the fence leaves them alone.
        """
        if fallen.claim.refused:
            return  # nothing of it has started, and its jobs may be another's
        jobs = fallen.claim.jobs
        blamed = () if isinstance(fallen.error, Interrupted) else fallen.blamed
        freed = set(release([job for job in jobs if job not in blamed]))
        if blamed:
            judged = judge_blamed(blamed, kind_of_death(fallen.error), fallen.error, fallen.evidence)
            finished = finish(judged.endings, judged.failures if judged.endings else ())
            moved = reschedule(judged.returns, judged.failures if judged.returns else ())
            freed.update(finished.freed, (bell.SCHEDULED if state == "scheduled" else q for q, state, _ in moved))
            if finished.count:
                bell.ring_done()
                tell(self.worker.app, self.worker.hostname, jobs, judged, fallen.error)
            for job in blamed:
                logger.error("Job %s[%s] was running when its process ended: %s", job.task, job.id, fallen.error)
        self._hot.update(dict.fromkeys(freed & set(self.queues())))
        bell.ring_ready(freed)
