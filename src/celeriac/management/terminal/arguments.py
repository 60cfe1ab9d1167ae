"""How a command with commands of its own is read: one parser, whichever way in."""

import argparse
import getpass
import os
import socket
from collections.abc import Callable
from typing import Any

from celeriac.ledger.rows import By
from celeriac.management.terminal.screen import Screen

__all__ = ["add_by", "begin", "by_of", "command", "count"]


def begin(parser: argparse.ArgumentParser, examples: str) -> Any:
    """Return what `command` adds to; *examples* stand below the help."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = examples
    parser.set_defaults(program=parser.prog.strip(), run=lambda *_: parser.print_help())
    return parser.add_subparsers(metavar="COMMAND", title="commands")


def command(commands: Any, name: str, text: str, run: Callable[[dict[str, Any], Screen], None]) -> Any:
    """Return the parser of a new command that does *run*."""
    said = f"{text[0].upper()}{text[1:]}."
    parser = commands.add_parser(name, help=text, description=said)
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="for a program, with keys that stay")
    # Django's own, which it would take before the command's name only.
    for flag in ("--no-color", "--force-color", "--traceback"):
        parser.add_argument(flag, action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    for option in (["--settings"], ["--pythonpath"]):
        parser.add_argument(*option, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument("-v", "--verbosity", type=int, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def count(text: str) -> int:
    """Return the number that was typed."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("it must not be below 0")
    return number


def add_by(parser: argparse.ArgumentParser) -> None:
    """Let who types say why, and who that is."""
    parser.add_argument("--why", metavar="TEXT", help="is written down with what you do")
    parser.add_argument("--as", dest="actor", metavar="NAME", help="who you are, if not the user of this shell")


def by_of(options: dict[str, Any]) -> By:
    """Return who operates: the user of the system, or whom `--as` names; and from which host."""
    try:
        user = options["actor"] or getpass.getuser()
    except (KeyError, OSError):  # a container with a number and no name
        user = f"uid {os.getuid()}"
    return By(user[:150], options["why"] or "", f"cli {socket.gethostname()}"[:100])
