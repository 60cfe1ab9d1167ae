"""What becomes of the instants at which a schedule is due: which are jobs, which are not and why. Pure.

`decide` is given what is known of a schedule and the time, and returns its ticks and when to look again. Whether the
job of the tick before is still at work only the ledger knows: that question is left to `schedules.fire`.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from hashlib import blake2b
from typing import NamedTuple
from zoneinfo import ZoneInfo

from celeriac.schedules.ticks import Timing

__all__ = ["MISFIRE", "OVERLAP", "Blackout", "Decision", "Planned", "Policy", "decide", "delay_of"]

MISFIRE = ("skip", "once", "all")
OVERLAP = ("allow", "skip", "queue_one", "cancel_running")

#: Instants looked at in one go: of a schedule that is due each second, two hours and three quarters.
MOST = 10_000

#: Jobs made of one schedule in one go; the rest follows at once.
MOST_JOBS = 100

#: A tick that nobody saw to for so long was missed: workers look each second, and another leads within five.
GRACE = timedelta(seconds=60)


class Blackout(NamedTuple):
    """A window in which nothing is due: between two wall times, each day or on some, or between two instants."""

    start: time | datetime
    end: time | datetime
    days: frozenset[int] = frozenset(range(7))  # on which it begins; 0 is Sunday

    def covers(self, instant: datetime, zone: ZoneInfo) -> bool:
        """Whether *instant* lies in it; the end does not."""
        if isinstance(self.start, datetime) and isinstance(self.end, datetime):
            return self.start <= instant < self.end
        assert isinstance(self.start, time)
        assert isinstance(self.end, time)
        local = instant.astimezone(zone)
        now, day = local.time(), local.isoweekday() % 7
        if self.start < self.end:
            return day in self.days and self.start <= now < self.end
        # Over midnight: what began yesterday, or today.
        return (now < self.end and (day - 1) % 7 in self.days) or (now >= self.start and day in self.days)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a project says of a schedule, beside when it is due.

    Attributes:
        misfire: of ticks that nobody was there for: "once" makes a job of the last one, "all" of each, "skip" of none.
        window: how old a missed tick may be to be made up for; None is any age. With "skip": what counts as missed.
        overlap: what a tick means while the job of an earlier one is open: "allow" asks for another, "skip" for none,
            "queue_one" for one that waits for it, "cancel_running" cancels it and asks for another.
        jitter: a job starts up to so much later than its tick; how much later depends on schedule and tick alone.
        blackout: windows in which no tick is a job.
        within: somebody is told of a tick whose job has not succeeded after so much time.
        zone: of wall times in `blackout`.
    """

    misfire: str = "once"
    window: timedelta | None = None
    overlap: str = "allow"
    jitter: timedelta = timedelta()
    blackout: tuple[Blackout, ...] = ()
    within: timedelta | None = None
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    def __post_init__(self) -> None:
        if self.misfire not in MISFIRE:
            raise ValueError(f"misfire is one of {', '.join(MISFIRE)}, not {self.misfire!r}.")
        if self.overlap not in OVERLAP:
            raise ValueError(f"overlap is one of {', '.join(OVERLAP)}, not {self.overlap!r}.")
        for name in ("window", "jitter", "within"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, timedelta) and value >= timedelta()):
                raise ValueError(f"{name} is a time from 0 on, not {value!r}.")

    def covers(self, instant: datetime) -> bool:
        """Whether *instant* lies in a blackout."""
        return any(window.covers(instant, self.zone) for window in self.blackout)


class Planned(NamedTuple):
    """A tick, or several that have the same fate: *times* of them, the last at *instant*. *skip* says why no job."""

    instant: datetime
    skip: str = ""  # misfire, blackout, asked
    times: int = 1


class Decision(NamedTuple):
    """The ticks since the last one, and the next instant; None: never again."""

    ticks: list[Planned]
    next: datetime | None


def decide(timing: Timing, policy: Policy, due: datetime, now: datetime, skips: Collection[datetime] = ()) -> Decision:
    """Return what the instants from *due* (the first that nobody has seen to) up to *now* come to.

    *skips* are instants that an operator has taken out.
    """
    looked: list[Planned] = []
    following: datetime | None = due
    jobs, missed = 0, None
    while following is not None and following <= now and len(looked) < MOST and jobs < MOST_JOBS:
        skip = _skip(policy, following, now, skips)
        if skip == "misfire" and (policy.window is None or now - following <= policy.window):
            missed = len(looked)
        jobs += not skip
        looked.append(Planned(following, skip))
        following = timing.after(following)
    is_all = following is None or following > now
    if policy.misfire == "once" and missed is not None and not jobs and is_all:
        looked[missed] = Planned(looked[missed].instant)
    return Decision(_together(looked), following)


def _skip(policy: Policy, instant: datetime, now: datetime, skips: Collection[datetime]) -> str:
    """Return why there is no job of *instant*, or "" for one; what "once" makes up for is not known yet."""
    if instant in skips:
        return "asked"
    if policy.covers(instant):
        return "blackout"
    late, window = now - instant, policy.window
    if policy.misfire == "skip":
        return "misfire" if late > (GRACE if window is None else window) else ""
    is_made_up_for = policy.misfire == "all" and (window is None or late <= window)
    return "" if late <= GRACE or is_made_up_for else "misfire"


def _together(looked: Iterable[Planned]) -> list[Planned]:
    """Return the same with one for those in a row that were skipped for the same reason."""
    ticks: list[Planned] = []
    for tick in looked:
        if ticks and tick.skip and ticks[-1].skip == tick.skip:
            ticks[-1] = tick._replace(times=ticks[-1].times + 1)
        else:
            ticks.append(tick)
    return ticks


def delay_of(name: str, instant: datetime, jitter: timedelta) -> timedelta:
    """Return how much later than *instant* its job starts: the same for all who ask, spread evenly below *jitter*."""
    digest = blake2b(f"{name}\0{instant.astimezone(UTC).isoformat()}".encode(), digest_size=8).digest()
    return jitter * (int.from_bytes(digest, "big") / 2**64)
