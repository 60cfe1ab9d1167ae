"""The command that Django starts: it reads what was typed, and makes sentences of the errors that are foreseen."""

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.management.color import no_style
from django.db import InterfaceError, OperationalError

from celeriac.errors import CeleriacError
from celeriac.ledger.database import alias_of, clock, explained
from celeriac.management.terminal.screen import Screen, width_of

__all__ = ["TerminalCommand"]

INTERRUPTED = 130  # as a shell says it of Ctrl-C


class TerminalCommand(BaseCommand):
    """A command with commands of its own: `add_arguments` adds them, each with what does it as `run`."""

    # What is wrong with the project's templates is no news to somebody who looks at a job.
    requires_system_checks = []
    suppressed_base_arguments = {"--version", "-v", "--settings", "--pythonpath", "--traceback", "--force-color"}

    def handle(self, *_: Any, **options: Any) -> None:
        """Do what was asked for; the errors that are foreseen become one sentence."""
        try:
            with explained():
                options["run"](options, self._screen(options))
        except CeleriacError as error:
            raise CommandError(str(error)) from error
        except (OperationalError, InterfaceError) as error:
            said = str(error).strip() or type(error).__name__
            raise CommandError(f"The ledger's database {alias_of()!r} cannot be used: {said}") from error
        except BrokenPipeError:
            # `| head` has what it wanted. Python would say so again when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt:
            self.stderr.write("", ending="\n")
            sys.exit(INTERRUPTED)

    def _screen(self, options: dict[str, Any]) -> Screen:
        plain = options["no_color"] or bool(os.environ.get("NO_COLOR"))
        if plain and not options["force_color"]:
            self.stderr.style_func = None
        coloured = options["force_color"] or (self.stdout.isatty() and not plain)
        return Screen(
            out=self.stdout,
            err=self.stderr,
            style=self.style if coloured else no_style(),
            now=clock(),
            width=width_of(self.stdout),
            program=options["program"],
        )
