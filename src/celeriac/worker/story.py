"""From an exception to what is kept of it."""

import traceback as tracebacks
from typing import Any

from celery.utils.serialization import ensure_serializable

from celeriac.api import payload
from celeriac.ledger.rows import ClaimedJob, Failure

__all__ = ["error_json", "failure"]

#: Longer texts are cut in the middle; the ends of a traceback are what tells.
MOST = 20_000


def clean(text: str) -> str:
    """Return *text* as every database takes it: without NUL, without lone surrogates, of bounded length."""
    text = text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) > MOST:
        text = f"{text[: MOST // 2]}\n… {len(text) - MOST:,} characters cut …\n{text[-MOST // 2 :]}"
    return text


def dotted(kind: type) -> str:
    """Return the dotted name of a class."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


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
        exception=clean(dotted(type(error)))[:255],
        message=clean(message),
        traceback=clean(text),
        ran=ran,
    )
