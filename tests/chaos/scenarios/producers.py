"""Producers die between INSERT and COMMIT, after it, or at a random moment."""

from __future__ import annotations

import subprocess
import sys

from django.db import connection

from tests.chaos.peers import NAMESPACE
from tests.chaos.scenarios.registry import scenario
from tests.chaos.stage import Stage
from tests.workers import ROOT

KIND = "the producer"
ROUNDS = 200


@scenario("producer-kill", KIND)
def producer_kill(stage: Stage) -> None:
    """A producer writes an order and asks for its job in one transaction, and dies, 200 times.

    Each time at another point: after the INSERT, before the COMMIT, after it, before the bell, by an exception, or by
    SIGKILL at a random moment; or not at all. An order that committed has a job that runs; one that did not, none.
    """
    rounds = stage.times(ROUNDS)
    stage.crew.start(2)
    command = [sys.executable, "-m", "tests.chaos.producer", str(rounds), str(stage.seed)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    stage.require(run.returncode == 0, f"the producer's parent failed: {run.stderr.strip()[-200:]}")
    for line in run.stdout.splitlines():
        what, _, count = line.rpartition(" ")
        stage.faults["killed" if what.startswith("killed") else "rolled back"] += int(count)
        stage.notes.append(f"{count} x {what}")
    stage.notes[:] = [", ".join(stage.notes)]
    committed = _orders()
    stage.asked.update(dict.fromkeys(committed, "work"))
    stage.drain(30)
    stage.pause(1.0)  # for a job that should not be there to show itself
    ran = {run.number for run in stage.runs()}
    stage.require(ran <= committed, f"{len(ran - committed)} jobs ran whose order was rolled back")
    stage.notes[0] += f": {len(committed)} of {rounds} orders committed"
    if stage.is_ours:
        from celeriac.models import Job

        jobs = {id_.int - NAMESPACE for id_ in Job.objects.values_list("id", flat=True)}
        stage.require(jobs == committed, f"{len(jobs ^ committed)} orders and jobs disagree")


def _orders() -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM chaos_order")
        return {number for (number,) in cursor.fetchall()}
