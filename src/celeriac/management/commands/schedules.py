"""`manage.py schedules …`."""

from django.core.management.base import CommandParser

from celeriac.management.schedules import arguments
from celeriac.management.terminal.command import TerminalCommand


class Command(TerminalCommand):
    """See, run, pause, skip and backfill schedules."""

    help = "See, run, pause, skip and backfill schedules."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the commands, each with its own arguments."""
        arguments.add(parser)
