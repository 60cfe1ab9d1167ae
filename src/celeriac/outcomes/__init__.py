"""JUDGE. What a run's end means, decided by pure functions: no Django, no Celery, no clock, no randomness.

A run ends in an `Outcome`, whatever ended it: a return, an exception, a retry, a time limit, the death of the process.
`judge` turns it into a `Verdict`: the state the job goes to, why, and what it is charged. Only then is anything
written, by the ledger verb that the verdict names. A crash is judged by the same function as an exception.
"""

from celeriac.outcomes.fingerprint import dotted, fingerprint
from celeriac.outcomes.judge import judge
from celeriac.outcomes.outcome import Bounds, Kind, Outcome, Verdict
from celeriac.outcomes.policy import Policy, wait_before_retry

__all__ = ["Bounds", "Kind", "Outcome", "Policy", "Verdict", "dotted", "fingerprint", "judge", "wait_before_retry"]
