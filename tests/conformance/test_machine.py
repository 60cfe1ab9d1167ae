"""Any interleaving of the verbs, stale claims included, leaves the table as a plain model of it says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
import pytest
from django.db import connections, transaction
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from celeriac.ledger import queries
from celeriac.ledger.rows import ClaimedJob, NewJob, Settlement
from celeriac.ledger.states import ENDED, State
from tests.ledger_helpers import HOUR, Ledger, a_job, an_id, back, ending, story

#: (runs, steps in each): as many as a few seconds allow.
EXAMPLES = {"sqlite": (50, 40), "postgresql": (25, 30), "mysql": (8, 30)}
RESTING = {State.WAITING, State.SCHEDULED, State.READY}
ends = st.sampled_from(sorted(ENDED))


@dataclass
class Model:
    """What a job is, in the simplest words."""

    state: str
    queue: str = "q"
    reason: str = ""
    attempt: int = 0
    losses: int = 0
    claim_no: int = 0
    parents: set[Any] = field(default_factory=set)
    asked: frozenset[Any] = frozenset()  # all its parents, those that have ended as well
    stories: int = 0

    @property
    def facts(self) -> tuple[Any, ...]:
        return self.state, self.queue, self.reason, self.attempt, self.losses, self.claim_no, len(self.parents)


class Verbs(RuleBasedStateMachine):
    ledger: Ledger
    inserted = Bundle("inserted")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[Any, Model] = {}
        self.transaction = transaction.atomic(using=self.ledger.alias)
        self.transaction.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True, using=self.ledger.alias)
        self.transaction.__exit__(None, None, None)

    def holds(self, claim: ClaimedJob) -> bool:
        job = self.model[claim.id]
        return job.state == State.RUNNING and job.claim_no == claim.claim_no

    def end(self, id_: Any, state: str, reason: str = "") -> None:
        self.model[id_].state, self.model[id_].reason = state, reason

    def count_down(self, *ended: Any) -> set[str]:
        freed = set()
        for job in self.model.values():
            if job.state == State.WAITING and job.parents & set(ended):
                job.parents -= set(ended)
                if not job.parents and not job.reason:
                    job.state = State.READY
                    freed.add(job.queue)
        return freed

    # -- verbs

    @rule(target=inserted, count=st.integers(1, 3), delay=st.sampled_from([0.0, HOUR]), queue=st.sampled_from("qr"))
    def insert(self, count: int, delay: float, queue: str) -> Any:
        jobs = [a_job(delay=delay, queue=queue) for _ in range(count)]
        assert self.ledger.insert(*jobs) == count
        for job in jobs:
            self.model[job.id] = Model(State.SCHEDULED if delay else State.READY, queue)
        return multiple(*(job.id for job in jobs))

    @rule(target=inserted, count=st.integers(1, 3), children=st.integers(1, 2), reason=st.sampled_from(["", "event"]))
    def insert_chord(self, count: int, children: int, reason: str) -> Any:
        headers = [a_job() for _ in range(count)]
        parents = {header.id for header in headers}
        bodies = self.ledger.children_of(*parents, count=children, reason=reason)
        self.ledger.insert(*headers)
        self.model |= {job.id: Model(State.READY) for job in headers}
        self.model |= {
            job.id: Model(State.WAITING, reason=reason, parents=set(parents), asked=frozenset(parents))
            for job in bodies
        }
        return multiple(*(job.id for job in headers + bodies))

    @rule(id_=inserted, delay=st.sampled_from([0.0, HOUR]))
    def insert_again(self, id_: Any, delay: float) -> None:
        job = self.model[id_]
        replaced = job.state == State.WAITING and job.reason == "replaced"
        assert self.ledger.insert(NewJob(id_, "shop.noop", "q", delay=delay)) == replaced
        if replaced:
            state = State.SCHEDULED if delay else State.READY
            self.model[id_] = Model(state, losses=job.losses, claim_no=job.claim_no, stories=job.stories)

    @rule(target=claims, limit=st.integers(1, 4), queue=st.sampled_from("qr"))
    def claim(self, limit: int, queue: str) -> Any:
        ready = [id_ for id_, job in self.model.items() if job.state == State.READY and job.queue == queue]
        claimed = self.ledger.claim(limit, queue)
        assert len(claimed) == min(limit, len(ready))
        for job in claimed:
            assert job.id in ready
            model = self.model[job.id]
            model.state, model.claim_no = State.RUNNING, model.claim_no + 1
            assert (job.claim_no, job.attempt, job.losses) == (model.claim_no, model.attempt, model.losses)
        return multiple(*claimed)

    @rule(some=st.lists(claims, max_size=4, unique=True))
    def release(self, some: list[ClaimedJob]) -> None:
        held = [claim for claim in some if self.holds(claim)]
        assert self.ledger.release(*some) == Counter(self.model[claim.id].queue for claim in held)
        for claim in held:
            self.model[claim.id].state = State.READY

    @rule(some=st.lists(claims, max_size=4, unique=True), state=ends, failed=st.booleans())
    def finish(self, some: list[ClaimedJob], state: str, *, failed: bool) -> None:
        held = [claim for claim in some if self.holds(claim)]
        failures = [story(claim) for claim in some] if failed else []
        done = self.ledger.finish(*(ending(claim, state, charge=1) for claim in some), failures=failures)
        for claim in held:
            self.end(claim.id, state)
            self.model[claim.id].attempt += 1
            self.model[claim.id].stories += failed
        freed = self.count_down(*(claim.id for claim in held))
        assert (done.count, done.stale, set(done.freed)) == (len(held), len(some) - len(held), freed)

    @rule(
        some=st.lists(claims, max_size=3, unique=True),
        how=st.sampled_from([{}, {"delay": HOUR}, {"reason": "event"}, {"reason": "replaced"}]),
        queue=st.sampled_from([None, "q", "r"]),
        loss=st.integers(0, 1),
    )
    def reschedule(self, some: list[ClaimedJob], how: dict[str, Any], queue: str | None, loss: int) -> None:
        held = [claim for claim in some if self.holds(claim)]
        state = State.WAITING if "reason" in how else State.SCHEDULED if how else State.READY
        returns = [back(claim, charge=1, loss=loss, queue=queue, **how) for claim in some]
        moved = self.ledger.reschedule(*returns, failures=[story(claim) for claim in some])
        for claim in held:
            job = self.model[claim.id]
            job.state, job.reason, job.queue = state, how.get("reason", ""), queue or job.queue
            job.attempt, job.losses, job.stories = job.attempt + 1, job.losses + loss, job.stories + 1
        expected = Counter(self.model[claim.id].queue for claim in held)
        assert sorted(moved) == sorted((queue, state, count) for queue, count in expected.items())

    @rule(some=st.lists(inserted, max_size=3, unique=True), limit=st.integers(1, 3))
    def stage(self, some: list[Any], limit: int) -> None:
        due = [id_ for id_ in some if self.model[id_].state == State.SCHEDULED]
        self.ledger.time_passes(*due)
        while due:
            staged = self.ledger.stage(limit)
            assert staged.count == min(limit, len(due))
            moved = [id_ for id_ in due if self.ledger.state(id_) == State.READY]
            assert len(moved) == staged.count
            assert set(staged.queues) == {self.model[id_].queue for id_ in moved}
            for id_ in moved:
                self.model[id_].state = State.READY
            due = [id_ for id_ in due if id_ not in moved]
        assert self.ledger.stage().count == 0

    @rule(some=st.lists(inserted, max_size=3, unique=True), state=ends, missing=st.integers(0, 1))
    def settle(self, some: list[Any], state: str, missing: int) -> None:
        resting = [id_ for id_ in some if self.model[id_].state in RESTING]
        made = [an_id() for _ in range(missing)]
        settled = self.ledger.settle(*(Settlement(id_, state, "told", task="t", queue="q") for id_ in some + made))
        for id_ in resting:
            self.end(id_, state, "told")
            self.model[id_].parents.clear()
        self.model |= {id_: Model(state, reason="told") for id_ in made}
        freed = self.count_down(*resting, *made)
        assert (set(settled.ids), set(settled.freed)) == ({*resting, *made}, freed)

    @rule(some=st.lists(inserted, max_size=3, unique=True), force=st.booleans(), later=st.booleans())
    def replay(self, some: list[Any], *, force: bool, later: bool) -> None:
        sendable = {State.DEAD, State.CANCELLED, *([State.SUCCEEDED] if force else [])}
        sent = [id_ for id_ in some if self.model[id_].state in sendable]
        done = self.ledger.replay(*some, force=force, every=HOUR if later else 0.0)
        assert dict(done.changed) == {id_: self.model[id_].state for id_ in sent}
        assert sum(done.skipped.values()) == len(some) - len(sent)
        soonest = self.ledger.jobs.filter(id__in=sent).order_by("run_at").values_list("id", flat=True).first()
        for job in self.model.values():
            job.parents |= job.asked & set(sent) if job.parents else set()
        for id_ in sent:
            job = self.model[id_]
            state = State.SCHEDULED if later and id_ != soonest else State.READY
            self.model[id_] = Model(state, job.queue, claim_no=job.claim_no, stories=job.stories)

    @rule(some=st.lists(inserted, max_size=3, unique=True))
    def discard(self, some: list[Any]) -> None:
        dead = [id_ for id_ in some if self.model[id_].state == State.DEAD]
        assert dict(self.ledger.discard(*some).changed) == dict.fromkeys(dead, State.DEAD)
        for id_ in dead:
            self.end(id_, State.CANCELLED, "discarded")

    # -- and always

    @invariant()
    def the_table_is_the_model(self) -> None:
        facts = ("state", "queue", "reason", "attempt", "losses", "claim_no", "waits_for")
        rows = {row[0]: row[1:] for row in self.ledger.jobs.values_list("id", *facts)}
        assert rows == {id_: job.facts for id_, job in self.model.items()}

    @invariant()
    def the_account_balances(self) -> None:
        self.ledger.balances(inserted=len(self.model))
        states = Counter(job.state for job in self.model.values())
        assert queries.account(using=self.ledger.alias) == {state.value: states[state] for state in State}

    @invariant()
    def every_failed_attempt_has_its_story(self) -> None:
        told = Counter(self.ledger.jobs.filter(attempts__isnull=False).values_list("id", flat=True))
        assert told == {id_: job.stories for id_, job in self.model.items() if job.stories}


@pytest.mark.timeout(120)
def test_any_interleaving_of_the_verbs_keeps_the_account(ledger):
    examples, steps = EXAMPLES[connections[ledger.alias].vendor]
    machine = type("Verbs", (Verbs,), {"ledger": ledger})
    bounded = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=steps, **bounded))
