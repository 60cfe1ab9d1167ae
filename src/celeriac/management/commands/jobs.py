"""`manage.py jobs …`."""

from django.core.management.base import CommandParser

from celeriac.management.jobs import arguments
from celeriac.management.terminal.command import TerminalCommand


class Command(TerminalCommand):
    """See, replay, discard and cancel jobs."""

    help = "See, replay, discard and cancel jobs."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the commands, each with its own arguments."""
        arguments.add(parser)
