"""What was typed, or the sentence that refuses it."""

from datetime import datetime, tzinfo

from django.core.management.base import CommandError

from celeriac.management.terminal.moments import moment

__all__ = ["moment_of"]


def moment_of(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """Return the moment that *text* means; *zone* is of a time without an offset, or else Django's.

    Raises:
        CommandError: when it means none.
    """
    try:
        return moment(text, now, zone)
    except ValueError as error:
        raise CommandError(str(error)) from error
