"""`jobs …` and `schedules …` as they are typed, on each database in turn."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from io import StringIO
from typing import NamedTuple
from unittest import mock

import pytest
from django.core.management import CommandError, call_command

from tests.ledger_helpers import Ledger, ending, story
from tests.schedules.conftest import clockwork  # noqa: F401 - a fixture of theirs


class Said(NamedTuple):
    """What a command wrote, beside the answer, and its status."""

    out: str
    err: str
    status: int

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def run(*args: object, columns: int | None = 100, command: str = "jobs") -> Said:
    out, err, status = StringIO(), StringIO(), 0
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    with mock.patch.dict(os.environ, env | ({"COLUMNS": str(columns)} if columns else {}), clear=True):
        try:
            call_command(command, *map(str, args), stdout=out, stderr=err)
        except CommandError as error:
            err.write(f"{error}\n")
            status = error.returncode
        except SystemExit as left:
            status = int(left.code or 0)
    return Said(out.getvalue(), err.getvalue(), status)


@pytest.fixture
def ledger(ledger_alias, db, settings) -> Ledger:
    settings.CELERIAC = {"DATABASE": ledger_alias}
    return Ledger(ledger_alias)


@pytest.fixture
def jobs(ledger) -> Callable[..., Said]:
    """`jobs("list", "--json")`."""
    return run


@pytest.fixture
def schedules(clockwork) -> Callable[..., Said]:  # noqa: F811 - pytest's way to say which
    """`schedules("next", "-n", 3)`."""
    return partial(run, command="schedules")


@pytest.fixture
def dies(ledger):
    """Let a job die as jobs do: of an exception, with a traceback."""

    def die(message: str = "no answer", exception: str = "shop.Timeout", **fields):
        end = {"fingerprint": fields.pop("fingerprint", "4be1" + "0" * 28), "reason": fields.pop("reason", "failed")}
        job = ledger.running(**{"task": "shop.pay", **fields})
        failed = story(
            job, exception=exception, message=message, traceback=f"Traceback: in pay\n{exception}: {message}"
        )
        ledger.finish(ending(job, "dead", exception=exception, charge=1, ran=1.5, **end), failures=[failed])
        return job

    return die
