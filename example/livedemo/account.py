"""The closing account: what the site answered, what the mail server received and what the ledger says must agree."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rich.table import Table

from livedemo.board import ENDED
from livedemo.tables import STATES, Snapshot
from livedemo.visitors import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Everything that is compared, taken after the worker and the site have ended."""

    record: Record
    mails: Counter[str]
    found: Snapshot
    patient: bool  # False when Ctrl-C cut the waiting for open jobs short

    @property
    def by_hand(self) -> int:
        """Customers the demo did not send: somebody tried the site."""
        return len(self.found.customers - self.record.committed.keys())

    @property
    def states(self) -> Counter[str]:
        return Counter(self.found.jobs.values())

    @property
    def open(self) -> int:
        return sum(count for state, count in self.states.items() if state not in ENDED)

    def problems(self) -> list[str]:
        """One sentence for each promise that was broken; empty when all were kept."""
        return [*self._inserted(), *self._rolled_back(), *self._ended(), *self._mailed()]

    def _inserted(self) -> Iterable[str]:
        answers, jobs = self.record.committed, self.found.jobs
        if self.record.odd_answers:
            yield _list("Sign-ups with an answer nobody expected", self.record.odd_answers)
        unknown = self.states.keys() - set(STATES)
        if unknown:
            yield _list("Job states nobody knows", unknown)
        if lost := [email for email, job_id in answers.items() if job_id not in jobs]:
            yield _list("Committed sign-ups without a job", lost)
        if gone := answers.keys() - self.found.customers:
            yield _list("Committed sign-ups without a customer row", gone)
        wanted = len(answers) + self.by_hand
        if len(jobs) != wanted:
            yield f"{wanted} sign-ups were committed, but {len(jobs)} jobs are in the ledger."

    def _rolled_back(self) -> Iterable[str]:
        rolled_back = self.record.rolled_back
        if ghosts := [email for email, job_id in rolled_back.items() if job_id in self.found.jobs]:
            yield _list("Rolled-back sign-ups that have a job", ghosts)
        if mailed := [email for email in rolled_back if self.mails[email]]:
            yield _list("Rolled-back sign-ups that were mailed", mailed)

    def _ended(self) -> Iterable[str]:
        if self.open and self.patient:
            yield f"Jobs still open, although there was time to end them ({self.open}): {dict(self.states)}."
        for email, job_id in self.record.committed.items():
            state = self.found.jobs.get(job_id, "open")
            wanted = "dead" if email.startswith("bounce") else "succeeded"
            if state in ENDED and state != wanted:
                yield f"The job of {email} should have ended {wanted}, but is {state}."

    def _mailed(self) -> Iterable[str]:
        done = [email for email, job_id in self.record.committed.items() if self.found.jobs.get(job_id) == "succeeded"]
        if missing := [email for email in done if not self.mails[email]]:
            yield _list("Succeeded jobs that sent no mail", missing)
        if twice := [f"{email} ({count} times)" for email, count in self.mails.items() if count > 1]:
            yield _list("Customers mailed more than once", twice)

    def table(self) -> Table:
        states = self.states
        table = Table(title="The account", show_header=False, title_justify="left")
        table.add_column(justify="right")
        table.add_column()
        table.add_row(str(len(self.record.committed)), "sign-ups the site committed")
        if self.by_hand:
            table.add_row(str(self.by_hand), "sign-ups by hand: thank you")
        table.add_row(str(len(self.record.rolled_back)), "sign-ups rolled back after their job was enqueued")
        table.add_row(str(sum(self.mails.values())), "mails received")
        table.add_section()
        table.add_row(str(len(self.found.jobs)), "jobs inserted", style="bold")
        for state in ENDED:
            table.add_row(f"= {states[state]}" if state == ENDED[0] else f"+ {states[state]}", state)
        table.add_row(f"+ {self.open}", "open")
        return table

    @property
    def equation(self) -> str:
        ended = " + ".join(f"{self.states[state]} {state}" for state in ENDED)
        return f"inserted {len(self.found.jobs)} = {ended} + {self.open} open"


def _list(what: str, items: Iterable[str]) -> str:
    names = sorted(items)
    shown = ", ".join(names[:5])
    return f"{what} ({len(names)}): {shown}{', …' if len(names) > 5 else ''}."
