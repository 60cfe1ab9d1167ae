"""`make chaos`: every scenario, each in a process of its own; a table, `build/chaos.json`, and an exit code.

Options, or the environment (SCENARIO, PEER, DATABASE, SEED, SCALE, ROUNDS), which `make` passes on.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.chaos.scenarios import SCENARIOS, Scenario
from tests.chaos.table import Table
from tests.chaos.verdict import Row

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "build" / "chaos.json"

#: A scenario that has not ended by then hangs, and is ended. The longest wait of one is stock Celery's.
LIMIT_SECONDS = 300


def arguments() -> argparse.Namespace:
    env = os.environ.get
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Nothing lost, nothing twice.")
    parser.add_argument("--scenario", default=env("SCENARIO", ""), help="names, with commas; all without")
    parser.add_argument("--peer", default=env("PEER", "celeriac"), choices=["celeriac", "celery"])
    parser.add_argument("--database", default=env("DATABASE", ""), help="postgresql or sqlite; both without")
    parser.add_argument("--seed", type=int, default=int(env("SEED", "1")), help="repeats the schedule of faults")
    parser.add_argument("--scale", type=float, default=float(env("SCALE", "1")), help="of the number of jobs")
    parser.add_argument("--rounds", type=int, default=int(env("ROUNDS", "10")), help="of the mix")
    parser.add_argument("--record", type=Path, default=RECORD, help="where the rows go as JSON")
    parser.add_argument("--list", action="store_true", help="print the scenarios and end")
    return parser.parse_args()


def plan(given: argparse.Namespace) -> list[tuple[Scenario, str, int]]:
    """Return (scenario, database, seed) of each row, in the order of the table."""
    names = [name for name in given.scenario.split(",") if name] or list(SCENARIOS)
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise SystemExit(f"no such scenario: {', '.join(unknown)}. There are: {', '.join(SCENARIOS)}")
    rows = []
    for name in names:
        scenario = SCENARIOS[name]
        for database in scenario.databases:
            if given.database in ("", database) and (given.peer == "celeriac" or database == "postgresql"):
                rounds = given.rounds if scenario.many else 1
                rows += [(scenario, database, given.seed + index) for index in range(rounds)]
    return rows


def run(scenario: Scenario, peer: str, database: str, seed: int, scale: float) -> Row:
    """Play it in a process of its own: Django, its settings and its connections are one a process."""
    with tempfile.TemporaryDirectory() as folder:
        path, log = Path(folder) / "row", Path(folder) / "log"
        command = [sys.executable, "-m", "tests.chaos.one", scenario.name, "--peer", peer, "--database", database]
        command += ["--seed", str(seed), "--scale", str(scale), "--row", str(path)]
        env = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        with log.open("w") as out:
            process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT)
            try:
                process.wait(LIMIT_SECONDS)
            except BaseException as error:
                process.send_signal(signal.SIGTERM)  # it takes its workers and servers with it
                process.wait(60)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
        if path.exists():
            return Row(**json.loads(path.read_text()))
        said = log.read_text().strip().splitlines() or ["nothing"]
        return Row(scenario.name, peer, database, seed, reason=f"ended without a row: {said[-1]}")


def main() -> None:
    given = arguments()
    if given.list:
        for scenario in SCENARIOS.values():
            print(f"{scenario.name:<22} {scenario.summary}")
        return
    peers = ["celeriac", "celery"] if given.peer == "celery" else ["celeriac"]
    table = Table(peers, given.seed, given.scale, sys.stdout)
    table.head()
    rows: list[Row] = []
    try:
        for scenario, database, seed in plan(given):
            for peer in peers:
                table.starts(scenario.name, peer, database)
                rows.append(run(scenario, peer, database, seed, given.scale))
                table.row(rows[-1], scenario.kind)
    finally:
        given.record.parent.mkdir(parents=True, exist_ok=True)
        given.record.write_text(json.dumps([row.as_dict() for row in rows], indent=1) + "\n")
    table.foot(rows)
    broken = [row for row in rows if row.peer == "celeriac" and not row.ok and not row.skipped]
    sys.exit(1 if broken or not rows else 0)


if __name__ == "__main__":
    main()
