"""The values that go into and come out of the verbs."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from celeriac.ledger.states import State

__all__ = [
    "EXCLUSIVE",
    "By",
    "ClaimedJob",
    "Edit",
    "Ending",
    "Failure",
    "How",
    "NewJob",
    "Operated",
    "Present",
    "Renewal",
    "Return",
    "Settlement",
    "Sighting",
]


#: Why a job of a lane waits, until it has the lane's turn.
EXCLUSIVE = "exclusive"


class NewJob(NamedTuple):
    """A job to insert. Payload fields are JSON text; `delay` and `expires_in` are seconds from the database's now."""

    id: UUID
    task: str
    queue: str
    priority: int = 0
    args: str = "[]"
    kwargs: str = "{}"
    headers: str = "{}"
    attempt: int = 0
    waits_for: int = 0
    reason: str = ""
    delay: float = 0.0
    run_at: datetime | None = None  # wins over delay
    expires_in: float | None = None
    expires_at: datetime | None = None  # wins over expires_in
    key: str = ""  # idempotency key
    held: str | None = None  # digest of what is unique while this job holds it
    hold: str = ""  # how long it holds: open, pending, until
    hold_for: float | None = None  # seconds, with hold "until"; None is for ever
    lane: str = ""  # at most one job of a lane runs; such a job waits with the reason "exclusive"
    fresh: bool = False  # the id was made for this insert: no need to look whether it is there

    @property
    def plain(self) -> bool:
        """Whether it has neither key nor lane."""
        return not (self.key or self.held or self.lane)

    @property
    def at_once(self) -> bool:
        """Whether it is ready from the start, and for ever."""
        if self.waits_for or self.reason or self.delay > 0:
            return False
        return self.run_at is None and self.expires_in is None and self.expires_at is None


class ClaimedJob(NamedTuple):
    """A job as a claim hands it to the worker."""

    id: UUID
    task: str
    queue: str
    priority: int
    args: str
    kwargs: str
    headers: str
    attempt: int
    losses: int
    claim_no: int
    run_at: datetime
    expires_at: datetime | None
    suspect: bool = False
    key: str = ""
    failing_for: float | None = None  # seconds since its first failure, by the database's clock


class Ending(NamedTuple):
    """How a claimed job ended for good. `ran` and `ago` are seconds: how long the body took, how long ago it ended."""

    id: UUID
    claim_no: int
    state: str
    reason: str = ""
    charge: int = 0  # attempts to add
    loss: int = 0
    result: str | None = None
    error: str | None = None
    children: str | None = None
    ran: float = 0.0
    ago: float = 0.0
    exception: str = ""  # what it is dead of
    fingerprint: str = ""


class Return(NamedTuple):
    """A claimed job that goes back to wait for another attempt; None keeps what the row has."""

    id: UUID
    claim_no: int
    reason: str = ""  # not empty: waiting for that
    charge: int = 0
    loss: int = 0
    delay: float = 0.0
    run_at: datetime | None = None
    queue: str | None = None
    priority: int | None = None
    args: str | None = None
    kwargs: str | None = None
    headers: str | None = None
    expires_at: datetime | None = None
    suspect: bool = False


class Failure(NamedTuple):
    """The story of an attempt that did not succeed, for the `Attempt` row."""

    id: UUID
    claim_no: int
    kind: str
    exception: str
    message: str
    traceback: str
    ran: float = 0.0
    ago: float = 0.0


class Settlement(NamedTuple):
    """The end of a job that no worker holds; with a task name, a missing row is made."""

    id: UUID
    state: str
    reason: str = ""
    result: str | None = None
    error: str | None = None
    children: str | None = None
    traceback: str = ""
    task: str = ""
    queue: str = ""
    args: str = "[]"
    kwargs: str = "{}"
    headers: str = "{}"
    exception: str = ""
    fingerprint: str = ""


class Present(NamedTuple):
    """What a worker says of itself with each renewal."""

    id: UUID
    hostname: str
    pid: int
    pool: str
    concurrency: int
    queues: str  # JSON list
    heartbeat: float  # seconds between two renewals
    stuck: str = "[]"  # JSON list of jobs past a time limit that the pool cannot enforce

    @property
    def lock(self) -> int:
        """The key of the worker's advisory lock: 64 random bits, so that it meets no other's."""
        return int.from_bytes(self.id.bytes[:8], "big", signed=True)


class Renewal(NamedTuple):
    """What a renewal found: whether the row had to be made, who leads, and whether a job of ours is to be cancelled.

    In seconds: where the row was made, *held* is the longest time for which another worker's session has held; *unseen*
    is the longest without a renewal of another worker whose session has ended, None where none has.
    """

    made: bool
    holder: UUID | None
    number: int
    cancels: bool = False
    held: float = 0.0
    unseen: float | None = None


class Sighting(NamedTuple):
    """A worker as the ledger shows it, or what only its running jobs still tell of (`seen_at` is None)."""

    id: UUID
    hostname: str = ""
    pid: int = 0
    heartbeat: float = 0.0
    seen_at: datetime | None = None
    age: float = 0.0  # seconds since seen_at, by the database's clock
    ended: bool = False  # the session of its last renewal is gone, and the server is the same


class By(NamedTuple):
    """Who operates on jobs, why, and from where."""

    actor: str  # a user's name
    reason: str = ""
    origin: str = "code"  # admin and an address, cli and a host, code


class Operated(NamedTuple):
    """What an operator's verb did to some jobs, and whom to ring for (queues, and upkeep for what is due later)."""

    changed: list[tuple[UUID, str]]  # id, and the state it was in
    skipped: dict[str, int]  # why (state, key, upstream) → how many
    rings: list[str]


class Edit(NamedTuple):
    """Other arguments, as JSON text, and what is other about them: argument → [before, after]. None keeps what is."""

    args: str | None = None
    kwargs: str | None = None
    diff: str = ""


class How(NamedTuple):
    """How to replay jobs: succeeded jobs too; the first after `delay` seconds, the others `every` so many; edited."""

    force: bool = False
    delay: float = 0.0
    every: float = 0.0
    edit: Edit = Edit()

    @property
    def states(self) -> list[str]:
        """What may be replayed."""
        return [State.DEAD, State.CANCELLED, *([State.SUCCEEDED] if self.force else [])]
