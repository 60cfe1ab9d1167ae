"""What a scenario amounts to: one row, compared with the promises of the design."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field

from tests.chaos import witness
from tests.chaos.peers import End, effects
from tests.chaos.stage import Stage, Ticks

ORDINARY = {"work", "effect"}


@dataclass
class Row:
    """One line of the table and of `build/chaos.json`."""

    scenario: str
    peer: str
    database: str
    seed: int
    jobs: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    duplicate_bodies: int = 0
    overlaps: int = 0
    duplicate_effects: int = 0
    unaccounted: int = 0
    interrupted: int = 0  # bodies whose process died within them: run again by promise
    reruns: int = 0  # bodies that ended within a flush of a kill: run again by promise
    reruns_per_kill: float | None = None
    recover_seconds: float | None = None
    ok: bool = False
    reason: str = ""
    skipped: str = ""
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def judge(stage: Stage, row: Row) -> Row:
    """Fill *row* from the witnesses; the stage's workers have ended."""
    if stage.ticks is not None:
        return _judge_ticks(stage, stage.ticks, row)
    ends = stage.peer.ends()
    numbers = set(stage.asked)
    atomic = {number for number, task in stage.asked.items() if task == "effect"}
    found = witness.examine(
        stage.runs(),
        stage.crew.coroner.deaths,
        frozen=stage.crew.frozen,
        transactional=atomic,
        outages=stage.outages,
    )
    row.jobs = len(numbers)
    row.faults = dict(stage.faults)
    row.notes = stage.notes + row.notes
    if stage.crew.restarted:
        row.notes.append(f"{stage.crew.restarted} workers ended by themselves and were started again")
    broken = list(stage.broken)

    # Each number is asked once: what the records hold beyond or below that was made up or eaten.
    row.unaccounted = len(numbers ^ set(ends)) if stage.is_ours else len(numbers - set(ends))
    if not stage.is_ours:
        # Without a ledger the body's word counts: a result that was not stored is unaccounted for, and not lost.
        ends |= {n: End("succeeded") for n in found.ended if not ends.get(n, End("gone")).is_final}
    lost = {number for number in numbers if not ends.get(number, End("gone")).is_final}
    hollow = {n for n in numbers - lost if ends[n].state == "succeeded" and n not in found.ended}
    row.lost = len(lost | hollow)
    states = Counter(ends[number].state if number in ends else "gone" for number in lost)
    _say(broken, lost, f"not ended ({_told(states)})")
    _say(broken, hollow, "succeeded without a body that ended")

    row.duplicate_bodies = len(found.duplicates)
    row.overlaps = len(found.overlaps)
    _say(broken, found.duplicates, "run again after they had ended")
    _say(broken, found.overlaps, "with two bodies at once")
    row.interrupted = len(found.interrupted)
    row.reruns = len(found.reruns)
    if stage.crew.kills:
        row.reruns_per_kill = round(row.reruns / stage.crew.kills, 2)

    written = Counter(effects())
    doubled = {number for number, count in written.items() if count > 1}
    missing = {n for n in atomic - lost if ends[n].state == "succeeded" and not written[n]}
    stray = {n for n in atomic - lost if ends[n].state != "succeeded" and written[n]}
    row.duplicate_effects = len(doubled | missing | stray)
    _say(broken, doubled, "atomic, with their effect twice")
    _say(broken, missing, "atomic, succeeded without their effect")
    _say(broken, stray, "atomic, not succeeded but with their effect")

    if row.unaccounted:
        broken.append(f"{row.unaccounted} unaccounted for")
    _unlike_expected(stage, ends, lost, broken)

    row.recover_seconds = _recovery(stage, found)
    if row.recover_seconds is not None:
        row.recover_seconds = round(row.recover_seconds, 2)
        if stage.is_ours and stage.limit is not None and row.recover_seconds > stage.limit:
            broken.append(f"took {row.recover_seconds} s to recover, not {stage.limit:g} s")
    row.reason = "; ".join(broken)
    row.ok = not broken
    return row


def _judge_ticks(stage: Stage, ticks: Ticks, row: Row) -> Row:
    """Fill *row* with what became of ticks; their jobs' ids are nobody's numbers."""
    row.jobs, row.lost, row.duplicate_bodies, row.unaccounted = ticks.due, ticks.lost, ticks.doubled, ticks.unaccounted
    row.faults, row.notes = dict(stage.faults), stage.notes + row.notes
    broken = list(stage.broken)
    if stage.is_ours:
        found = witness.examine(
            stage.runs(), stage.crew.coroner.deaths, frozen=stage.crew.frozen, outages=stage.outages
        )
        row.overlaps, row.reruns = len(found.overlaps) + len(found.duplicates), len(found.reruns)
        _say(broken, found.duplicates + found.overlaps, "ran twice")
    for count, what in ((ticks.lost, "lost"), (ticks.doubled, "doubled"), (ticks.unaccounted, "unaccounted for")):
        if count:
            broken.append(f"{count} ticks {what}")
    row.recover_seconds = stage.recovery and round(stage.recovery, 2)
    if stage.is_ours and stage.limit is not None and (row.recover_seconds or 0.0) > stage.limit:
        broken.append(f"a tick ran {row.recover_seconds} s late, not {stage.limit:g} s")
    row.reason, row.ok = "; ".join(broken), not broken
    return row


def _unlike_expected(stage: Stage, ends: dict[int, End], lost: set[int], broken: list[str]) -> None:
    unlike: Counter[str] = Counter()
    for number in set(stage.asked) - lost:
        wanted = stage.expected.get(number, ("succeeded", ""))
        end = ends[number]
        got = (end.state, end.reason) if stage.is_ours else (end.state, wanted[1] if wanted else "")
        if wanted is not None and got != wanted:
            unlike[
                f"{stage.asked[number]} {' '.join(filter(None, got))} instead of {' '.join(filter(None, wanted))}"
            ] += 1
    broken.extend(f"{count} {what}" for what, count in unlike.items())


def _recovery(stage: Stage, found: witness.Findings) -> float | None:
    """Seconds; where the scenario set none, the longest from a kill until the first of its bodies ran again.

    The first: what else a whole worker held are suspects, which run one after the other until each is cleared. And of
    each body its first death: after the second it waits 3 s, as it should (`outcomes.judge`).
    """
    if stage.recovery is not None:
        return stage.recovery
    ordinary = [gap for gap in found.gaps if stage.asked[gap[0]] in ORDINARY]
    # Stock Celery has no head of the queue: what is measured there is any body.
    measured = [gap for gap in ordinary if gap[0] in stage.measured] or ([] if stage.is_ours else ordinary)
    deaths: dict[int, tuple[int, int, float]] = {}
    for gap in measured:
        deaths.setdefault(gap[0], gap)
    measured = list(deaths.values())
    first: dict[int, float] = {}
    for _, pid, seconds in measured:
        worker = stage.crew.coroner.worker_of.get(pid, pid)
        first[worker] = min(first.get(worker, seconds), seconds)
    if measured and (last := max(seconds for *_, seconds in measured)) > max(first.values()) + 1.0:
        stage.notes.append(f"the last of the bodies ran again after {last:.1f} s")
    return max(first.values(), default=None)


def _say(broken: list[str], which: object, what: str) -> None:
    which = list(which)
    if which:
        broken.append(f"{len(which)} {what} (first: {min(which)})")


def _told(states: Counter[str]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.most_common())
