"""What can go wrong, one class per cause.

CeleriacError
├── ConfigurationError      a setting is wrong; the message names it and the remedy
│   ├── UnknownSetting
│   ├── LedgerMissing       the ledger's database alias does not exist
│   └── NotMigrated         the ledger's tables do not exist
├── NoSchedule              there is no schedule of this name
├── JobExists               another job holds the idempotency key
├── InDoubt                 an effect outside was begun, and nobody knows how it ended
├── ClaimLost               the job is no longer this run's
├── OpenTransaction         what must be committed by itself was asked for inside of a transaction
├── PayloadError            a job's arguments or result cannot be kept
│   ├── NotSerializable
│   └── PayloadTooLarge
└── WrongArguments          edited arguments do not fit the task's signature
"""

from datetime import datetime
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from kombu.exceptions import EncodeError

__all__ = [
    "CeleriacError",
    "ClaimLost",
    "ConfigurationError",
    "InDoubt",
    "JobExists",
    "LedgerMissing",
    "NoSchedule",
    "NotMigrated",
    "NotSerializable",
    "OpenTransaction",
    "PayloadError",
    "PayloadTooLarge",
    "UnknownSetting",
    "WrongArguments",
]


class CeleriacError(Exception):
    """Base of everything Celeriac raises."""


class ConfigurationError(CeleriacError, ImproperlyConfigured):
    """A setting is wrong."""


class UnknownSetting(ConfigurationError):
    """CELERIAC holds a name that no version of Celeriac reads."""


class LedgerMissing(ConfigurationError):
    """The alias in CELERIAC["DATABASE"] is not one of DATABASES."""


class NotMigrated(ConfigurationError):
    """The ledger's tables do not exist in its database."""


class NoSchedule(CeleriacError, LookupError):
    """There is no schedule of this name; the message names those that look like it."""


class JobExists(CeleriacError):
    """Another job holds the idempotency key, and the call asked to be told.

    Attributes:
        task: the task's name.
        key: the idempotency key.
        task_id: Celery's id of the job that holds it.
    """

    def __init__(self, task: str, key: str = "", task_id: str = "") -> None:
        # All are arguments of the exception, so that it comes back whole when it was how a job ended.
        super().__init__(task, key, task_id)
        self.task, self.key, self.task_id = task, key, task_id

    def __str__(self) -> str:
        return (
            f"{self.task} was asked for before with the idempotency key {self.key!r}: job {self.task_id} holds it. "
            f"AsyncResult({self.task_id!r}) is that job; idempotency_conflict='existing' returns it instead."
        )


class InDoubt(CeleriacError):
    """An effect was begun by an earlier run, or by an earlier call in this one, and nobody recorded how it ended.

    Attributes:
        key: the idempotency key that the other side was given with it, to ask with.
        name: of the effect.
        begun_at: when it was begun, by the database's clock.
    """

    def __init__(
        self,
        message: str,
        *,
        key: str = "",
        name: str = "",
        begun_at: datetime | None = None,
        call: Any = None,
    ) -> None:
        super().__init__(message)
        self.key, self.name, self.begun_at, self._call = key, name, begun_at, call

    def __reduce__(self) -> tuple[Any, ...]:
        # Celery pickles an exception to see whether it may; the call itself stays where the body is.
        return type(self), self.args, {"key": self.key, "name": self.name, "begun_at": self.begun_at}

    def record(self, value: Any) -> Any:
        """Say that it happened, with *value* for its outcome; return *value*.

        Raises:
            NotSerializable: when *value* cannot be kept; it stays in doubt.
            ClaimLost: when the job is no longer this run's.
        """
        return self._mine().record(value, whoever=True)

    def repeat(self) -> Any:
        """Say that it did not happen: call the function (again) and return its value, as `once` does.

        Raises:
            ClaimLost: when the job is no longer this run's.
        """
        return self._mine().repeat()

    def _mine(self) -> Any:
        if self._call is None:
            raise RuntimeError(
                "This InDoubt is how a job ended, as it was told: only the job's own run can decide on it."
            )
        return self._call


class ClaimLost(CeleriacError):
    """The job is no longer this run's: its worker was taken for lost, and another run has it or will have it.

    Attributes:
        job: the row's id, as text.
        claim_no: the claim that was this run's.
    """

    def __init__(self, job: object, claim_no: int = 0) -> None:
        super().__init__(str(job), claim_no)
        self.job, self.claim_no = str(job), claim_no

    def __str__(self) -> str:
        return (
            f"Job {self.job} is no longer this run's (claim {self.claim_no}): it was taken from its worker, which was "
            "cut off for so long that it was taken for lost, or somebody ended it. Nothing was recorded."
        )


class OpenTransaction(CeleriacError):
    """What must be committed by itself was asked for inside of a transaction, where it cannot be."""


# EncodeError, because that is what Celery's own callers and tracer expect when a payload cannot be encoded.
class PayloadError(CeleriacError, EncodeError):
    """A job's arguments or result cannot be kept in the ledger."""


class NotSerializable(PayloadError):
    """A value has no exact JSON form."""


class PayloadTooLarge(PayloadError):
    """A payload is larger than CELERIAC["MAX_PAYLOAD_BYTES"]."""


# TypeError, because that is what the call itself would raise.
class WrongArguments(CeleriacError, TypeError):
    """Edited arguments do not fit the task's signature any more."""
