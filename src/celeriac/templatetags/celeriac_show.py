"""How values are shown. What comes from a job is hostile until it is escaped; `format_html` escapes.

Here and not in `admin`, since Django imports each template library, with the admin installed or without.
"""

import json
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

__all__ = ["ago", "badge", "call", "lasted", "pretty"]

register = template.Library()


@register.filter("state")
def badge(state: str) -> SafeString:
    """Return *state* in its colour, and in a word for whoever does not see colours."""
    return format_html('<span class="celeriac-state celeriac-{}">{}</span>', state, state)


@register.filter
def ago(moment: datetime | None) -> str:
    """Return how long ago (or until) *moment*; the exact time shows when pointed at."""
    if moment is None:
        return "-"
    now = timezone.now() if timezone.is_aware(moment) else timezone.make_naive(timezone.now())
    exact = date_format(timezone.localtime(moment) if timezone.is_aware(moment) else moment, "Y-m-d H:i:s")
    apart = abs(now - moment)
    if apart < timedelta(minutes=1):
        said = f"{apart.seconds} s"
    else:
        said = timesince(min(now, moment), max(now, moment), depth=2 if apart < timedelta(hours=3) else 1)
    words = "{} ago" if moment <= now else "in {}"
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact, words.format(said))


def lasted(start: datetime | None, end: datetime | None) -> str:
    """Return how long it took, in words."""
    if start is None or end is None:
        return ""
    seconds = (end - start).total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else timesince(start, end)


def call(args: str, kwargs: str, most: int = 80) -> str:
    """Return a call's arguments in one short line, from the first characters of both as JSON text."""
    inner = args.strip().removeprefix("[").removesuffix("]")
    named = kwargs.strip().removeprefix("{").removesuffix("}")
    text = ", ".join(part for part in (inner, named) if part)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def pretty(text: str | None) -> str:
    """Return JSON text indented for a reader, or as it is where it is no JSON."""
    if not text:
        return ""
    try:
        value: Any = json.loads(text)
        return json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


@register.filter
def grouped(value: int) -> str:
    """Return a number with its thousands apart."""
    return f"{value:,}"


@register.filter
def said(value: Any) -> str:
    """Return a selection as the beginning of a sentence."""
    words = str(value)
    return words[:1].upper() + words[1:]


@register.filter
def called(job: Any) -> str:
    """Return a job's arguments in a line."""
    return call(job.args[:1000], job.kwargs[:1000], 300)
