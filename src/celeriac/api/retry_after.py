"""What the other side said of when to come again."""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

__all__ = ["retry_after"]


def retry_after(error: BaseException | None) -> float | None:
    """Return the seconds that *error* asks to wait, or None where it says nothing that can be read.

    Looked for in `error.retry_after` (seconds, a timedelta, a datetime), then in the header Retry-After (RFC 9110,
    10.2.3: seconds or a date) of `error.response.headers`, as requests and httpx have it, or of `error.headers`, as
    urllib, Stripe and others do.
    """
    said = getattr(error, "retry_after", None)
    if said is None:
        said = _header(getattr(getattr(error, "response", None), "headers", None)) or _header(
            getattr(error, "headers", None)
        )
    try:
        seconds = _seconds(said)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if seconds is not None and 0 <= seconds < float("inf") else None


def _header(headers: Any) -> Any:
    if isinstance(headers, Mapping) or hasattr(headers, "get"):
        return headers.get("Retry-After") or headers.get("retry-after")
    return None


def _seconds(said: Any) -> float | None:
    if said is None or isinstance(said, bool):
        return None
    if isinstance(said, timedelta):
        return said.total_seconds()
    if isinstance(said, int | float):
        return float(said)
    if not isinstance(said, datetime):
        text = str(said).strip()
        if text.isascii() and text.replace(".", "", 1).isdigit():
            return float(text)
        said = parsedate_to_datetime(text)
    return max(0.0, float(said.timestamp()) - time.time())
