"""Any interleaving of keyed calls with what moves their holders leaves one holder a key, as a dict of them says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from django.db import connections, transaction
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from celeriac.errors import JobExists
from celeriac.ledger.rows import Settlement
from celeriac.ledger.states import ENDED
from tests.ledger_helpers import HOUR, Ledger, a_job, back, ending

#: (runs, steps in each): as many as a few seconds allow.
EXAMPLES = {"sqlite": (40, 40), "postgresql": (25, 40), "mysql": (8, 30)}

#: Two keys that one job may hold, and one of two slots.
KEYS = {"a": ["a"], "b": ["b"], "throttled": ["t1", "t2"]}
keys = st.sampled_from(sorted(KEYS))
holds = st.sampled_from(["open", "pending", "until", "for ever"])


@dataclass
class Holder:
    id: Any
    hold: str
    content: str
    made: int  # in which order
    lapsed: bool = False


class Keys(RuleBasedStateMachine):
    ledger: Ledger

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, Holder] = {}  # the model: digest → who holds it
        self.claimed: dict[Any, Any] = {}
        self.resting: set[Any] = set()  # that no claim has had
        self.made = 0
        self.transaction = transaction.atomic(using=self.ledger.alias)
        self.transaction.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True, using=self.ledger.alias)
        self.transaction.__exit__(None, None, None)

    def let_go(self, id_: Any, *holds: str) -> None:
        self.held = {key: one for key, one in self.held.items() if one.id != id_ or one.hold not in holds}

    def ended(self, id_: Any) -> None:
        self.let_go(id_, "open", "pending")

    @rule(key=keys, hold=holds, conflict=st.sampled_from(["existing", "raise", "replace"]), later=st.booleans())
    def call(self, key: str, hold: str, conflict: str, *, later: bool) -> None:
        self.made += 1
        timed = (
            {"hold": "until"} if hold == "for ever" else {"hold": hold, "hold_for": HOUR if hold == "until" else None}
        )
        slots = KEYS[key]
        job = a_job(key=key, held=slots[0], args=f"[{self.made}]", delay=HOUR if later else 0.0, **timed)
        how = {"conflict": conflict, "slots": slots if len(slots) > 1 else ()}
        free = next((slot for slot in slots if slot not in self.held or self.held[slot].lapsed), None)
        if free is not None:
            assert self.ledger.insert_keyed(job, **how) == (job.id, str(job.id), "made")
            self.held[free] = Holder(job.id, hold, job.args, self.made)
            self.resting.add(job.id)
            return
        met = self.met(slots)
        if conflict == "raise":
            with pytest.raises(JobExists, match=str(met.id)):
                self.ledger.insert_keyed(job, **how)
            return
        changes = conflict == "replace" and met.id in self.resting
        answer = self.ledger.insert_keyed(job, **how)
        assert answer == (met.id, str(met.id), "changed" if changes else "existing")
        if changes:
            met.content = job.args

    def met(self, slots: list[str]) -> Holder:
        """Whose time is over last; without a time, whoever was there last."""
        held = [self.held[slot] for slot in slots]
        return max(held, key=lambda one: (one.hold != "until", one.made))

    @rule()
    def claim(self) -> None:
        for job in self.ledger.claim():
            self.claimed[job.id] = job
            self.resting.discard(job.id)
            self.let_go(job.id, "pending")

    @rule()
    def time_comes(self) -> None:
        self.ledger.time_passes(*self.resting)
        self.ledger.stage()

    @rule(data=st.data(), how=st.sampled_from(["finish", "retry", "release"]), state=st.sampled_from(sorted(ENDED)))
    def leave(self, data: Any, how: str, state: str) -> None:
        if not self.claimed:
            return
        id_ = data.draw(st.sampled_from(sorted(self.claimed)))
        job = self.claimed.pop(id_)
        if how == "finish":
            assert self.ledger.finish(ending(job, state)).count == 1
            self.ended(id_)
        elif how == "retry":
            self.ledger.reschedule(back(job, charge=1))
        else:
            self.ledger.release(job)

    @rule(data=st.data(), how=st.sampled_from(["cancel", "settle"]))
    def end_at_rest(self, data: Any, how: str) -> None:
        if not self.resting:
            return
        id_ = data.draw(st.sampled_from(sorted(self.resting)))
        if how == "cancel":
            self.ledger.cancel(id_)
        else:
            self.ledger.settle(Settlement(id_, "dead"))
        self.resting.discard(id_)
        self.ended(id_)

    @rule(data=st.data())
    def a_time_is_over(self, data: Any) -> None:
        timed = [key for key, one in self.held.items() if one.hold == "until"]
        if timed:
            one = self.held[data.draw(st.sampled_from(sorted(timed)))]
            one.lapsed = True
            past = self.ledger.now() - timedelta(seconds=1)
            self.ledger.jobs.filter(id=one.id).update(held_until=past)

    @invariant()
    def each_key_is_held_by_whom_the_model_says(self) -> None:
        rows = self.ledger.jobs.filter(held__isnull=False).values_list("held", "id", "args")
        assert {held: (id_, args) for held, id_, args in rows} == {
            held: (one.id, one.content) for held, one in self.held.items()
        }


@pytest.mark.timeout(120)
def test_any_interleaving_leaves_one_holder_a_key(ledger):
    examples, steps = EXAMPLES[connections[ledger.alias].vendor]
    machine = type("Keys", (Keys,), {"ledger": ledger})
    bounded = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=steps, **bounded))
