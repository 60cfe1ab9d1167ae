"""From an exception to what is kept of it."""

import traceback as tracebacks
from typing import Any

from celery.utils.serialization import UnpickleableExceptionWrapper, ensure_serializable

from celeriac.api import payload
from celeriac.ledger.rows import ClaimedJob, Ending, Failure
from celeriac.outcomes import dotted, fingerprint

__all__ = ["error_json", "failure", "fingerprinted"]

#: Longer texts are cut in the middle; the ends of a traceback are what tells.
MOST = 20_000


def clean(text: str) -> str:
    """Return *text* as every database takes it: without NUL, without lone surrogates, of bounded length."""
    text = text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) > MOST:
        text = f"{text[: MOST // 2]}\n… {len(text) - MOST:,} characters cut …\n{text[-MOST // 2 :]}"
    return text


def error_json(error: BaseException) -> str:
    """Return *error* in the form Celery's backends keep and turn back into its class."""
    kind = type(error)
    return payload.encode(
        {
            "exc_type": kind.__qualname__,
            "exc_message": ensure_serializable(error.args, payload.encode),
            "exc_module": kind.__module__,
        }
    )


def failure(job: ClaimedJob, kind: str, error: BaseException, traceback: Any = None, ran: float = 0.0) -> Failure:
    """Return the story of an attempt that ended in *error*."""
    text = str(traceback) if traceback else "".join(tracebacks.format_exception(error))
    try:
        message = str(error)
    except Exception:  # a foreign __str__ that fails must not cost the record
        message = f"<{type(error).__name__} without a text>"
    return Failure(
        id=job.id,
        claim_no=job.claim_no,
        kind=kind,
        exception=clean(_named(error))[:255],
        message=clean(message),
        traceback=clean(text),
        ran=ran,
    )


def _named(error: BaseException) -> str:
    if isinstance(error, UnpickleableExceptionWrapper):  # what Celery's tracer makes of one, before we see it
        return f"{error.exc_module}.{error.exc_cls_name}"
    return dotted(type(error))


def fingerprinted(ending: Ending, task: str, story: Failure | None) -> Ending:
    """Return the *ending* of a job of *task* with what it died of, if it did: the exception and the fingerprint."""
    if ending.state != "dead":
        return ending
    exception, message, trace = (story.exception, story.message, story.traceback) if story else ("", "", "")
    return ending._replace(exception=exception, fingerprint=fingerprint(exception, message, trace, task))
