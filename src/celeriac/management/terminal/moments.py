"""Times as operators write and read them: "2h", "3m ago", and the clock of Django's time zone."""

import re
from datetime import datetime, timedelta, tzinfo

from django.conf import settings
from django.utils import timezone

__all__ = ["ago", "local", "moment", "span"]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"(\d+(?:\.\d+)?) ?([smhdw])")
_RELATIVE = re.compile(rf"(?:{_PART.pattern} ?)+")


def moment(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """Return the moment that *text* means: a time before *now* ("90s", "2h", "1d 12h"), or ISO 8601.

    *zone* is where a time without an offset is meant; Django's if None.

    Raises:
        ValueError: when it is neither.
    """
    text = text.strip().lower()
    if _RELATIVE.fullmatch(text):
        try:
            return now - timedelta(seconds=sum(float(n) * _SECONDS[unit] for n, unit in _PART.findall(text)))
        except OverflowError:
            raise ValueError(f"{text!r} is longer ago than anything.") from None
    try:
        found = datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError(f"{text!r} is no time: say how long ago (30m, 2h, 1d) or when (2026-07-28T03:00).") from None
    if zone is not None and timezone.is_naive(found):
        found = found.replace(tzinfo=zone)
    if settings.USE_TZ:
        return found if timezone.is_aware(found) else timezone.make_aware(found)
    return timezone.make_naive(found) if timezone.is_aware(found) else found


def span(seconds: float) -> str:
    """Return a time as short as it can be read: "40ms", "1.2s", "45s", "90m", "30h", "12d"."""
    seconds = abs(seconds)
    if 0 < seconds < 10:
        return f"{seconds * 1000:.0f}ms" if seconds < 0.1 else f"{seconds:.1f}".removesuffix(".0") + "s"
    for unit, most in (("s", 120), ("m", 7200), ("h", 172800)):
        if seconds < most:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return f"{seconds / 86400:,.0f}d"


def ago(when: datetime, now: datetime) -> str:
    """Return how long before *now* it was ("3m ago"), or how long after it will be ("in 5m")."""
    seconds = (now - when).total_seconds()
    whole = float(round(seconds))
    return f"{span(whole)} ago" if seconds >= 0 else f"in {span(whole)}"


def local(when: datetime, now: datetime | None = None) -> str:
    """Return the time in Django's time zone; with *now* also how long ago that is."""
    shown = timezone.localtime(when) if timezone.is_aware(when) else when
    text = f"{shown:%Y-%m-%d %H:%M:%S %Z}".strip()
    return f"{text} ({ago(when, now)})" if now is not None else text
