"""One scenario, in this process: `python -m tests.chaos.one NAME --peer ... --database ...`; its row goes to --row."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from tests.chaos.servers import ChaosBroker, ChaosPostgres
from tests.chaos.stage import Skip, Stage, make_home, remove_home
from tests.chaos.verdict import Row, judge


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario")
    parser.add_argument("--peer", choices=["celeriac", "celery"], default="celeriac")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--row", type=Path)
    return parser.parse_args()


def environment(given: argparse.Namespace, home: Path, postgres: object, broker: object, settings: dict) -> dict:
    """Return what `settings.py` reads, for this process and for the workers."""
    if given.database == "postgresql":
        database = {"ENGINE": "django.db.backends.postgresql", **postgres.settings}
    else:
        options = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(home / "ledger.sqlite3"), "OPTIONS": options}
    return {
        "CHAOS_PEER": given.peer,
        "CHAOS_DATABASE": json.dumps(database),
        "CHAOS_BROKER": broker.url,
        "CHAOS_WITNESS": str(home / "witness"),
        "CHAOS_SETTINGS": json.dumps(settings),
        "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
        "PGAPPNAME": "chaos worker",
    }


def play(given: argparse.Namespace, row: Row, home: Path) -> None:
    """Set the stage, play, and judge; whatever was started is gone afterwards."""
    from tests.chaos.scenarios import SCENARIOS

    scenario = SCENARIOS[given.scenario]
    postgres = (scenario.postgres or ChaosPostgres)() if given.database == "postgresql" else None
    broker = None
    stage = None
    try:
        broker = ChaosBroker(absent=scenario.broker_absent)
        env = environment(given, home, postgres, broker, scenario.settings)
        os.environ.update(env | {"PGAPPNAME": "chaos harness"})
        prepare()
        stage = Stage(
            peer=given.peer,
            database=given.database,
            seed=given.seed,
            scale=given.scale,
            env=env,
            servers=(postgres, broker),
        )
        try:
            scenario.play(stage)
            if not stage.is_ours and any(depth := broker.depth()):
                # Not to be taken for gone: a job may be lost to whoever waits for it, and still be somewhere.
                row.notes.append(f"the broker still held {depth[0]} messages that waited and {depth[1]} unacked")
        finally:
            stage.down()
        judge(stage, row)
    finally:
        _close()
        for server in (broker, postgres):
            if server is not None:
                server.stop()


def prepare() -> None:
    import django

    django.setup()
    from django.core.management import call_command

    from tests.chaos.peers import make_tables

    call_command("migrate", verbosity=0)
    make_tables()


def _close() -> None:
    from django.conf import settings

    if settings.configured:
        from django.db import connections

        from celeriac.ledger import bell

        bell.close()
        connections.close_all()


def main() -> None:
    given = arguments()
    # An end from outside is an exception here: the workers must not outlive this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    row = Row(given.scenario, given.peer, given.database, given.seed)
    home = make_home()
    begun = time.monotonic()
    try:
        play(given, row, home)
    except Skip as skip:
        row.skipped = str(skip)
    except Exception as error:  # noqa: BLE001 - a scenario that cannot be played is a row that failed
        traceback.print_exc()
        row.reason = f"could not be played: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    finally:
        remove_home(home)
    row.seconds = round(time.monotonic() - begun, 1)
    if given.row:
        given.row.write_text(json.dumps(row.as_dict()))
    else:
        print(json.dumps(row.as_dict(), indent=1))
    sys.exit(0 if row.ok or row.skipped else 1)


if __name__ == "__main__":
    main()
