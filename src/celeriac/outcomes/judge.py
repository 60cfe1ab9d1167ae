"""The one place that decides what becomes of a job after a run."""

from celeriac.outcomes.outcome import Bounds, Kind, Outcome, Verdict

__all__ = ["judge"]


def judge(outcome: Outcome, losses: int, bounds: Bounds) -> Verdict:  # noqa: PLR0911 - a case a line
    """Return the verdict on a run that ended in *outcome*, of a job whose process had died *losses* times before."""
    match outcome.kind:
        case Kind.SUCCEEDED:
            return Verdict("succeeded", outcome.reason)
        case Kind.IGNORED:
            return Verdict("succeeded", "ignored")
        case Kind.TERMINATED:
            return Verdict("cancelled", "terminated", charge=1)
        case Kind.REVOKED | Kind.CANCELLED:
            return Verdict("cancelled", outcome.reason or "revoked", charge=outcome.charge)
        case Kind.RETRY:
            return _again(outcome.delay, charge=outcome.charge)
        case Kind.REQUEUED:
            return _again(bounds.requeue_delay)
        case Kind.UNREGISTERED:
            return Verdict("waiting", "unregistered")
        case Kind.ORPHANED:
            return Verdict("ready", suspect=True)
        case Kind.LOST if losses + 1 < bounds.max_losses:
            # At once the first time, since most losses are somebody else's fault (a deploy, the OOM killer); then
            # backing off, since the job itself becomes the suspect.
            return _again(float(4**losses - 1), charge=1, loss=1)
        case Kind.LOST:
            return Verdict("dead", "lost", charge=1, loss=1)
        case Kind.FAILED | Kind.REJECTED | Kind.TIMEOUT:
            return Verdict("dead", outcome.reason or outcome.kind.value, charge=1)


def _again(delay: float, *, charge: int = 0, loss: int = 0) -> Verdict:
    return Verdict("scheduled" if delay > 0 else "ready", charge=charge, loss=loss, delay=max(0.0, delay))
