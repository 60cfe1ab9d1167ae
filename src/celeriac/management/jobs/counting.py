"""`jobs stats`: how much stands where, who works, what operators have going."""

import json
from typing import Any, NamedTuple
from uuid import UUID

from celeriac.ledger import queries
from celeriac.ledger.audit import Action
from celeriac.ledger.database import alias_of
from celeriac.ledger.models import Lease, Queue, Worker
from celeriac.ledger.overview import SHOWN, Count, Standing, running_by_worker, standings
from celeriac.ledger.rows import Sighting
from celeriac.ledger.states import State
from celeriac.management.jobs.acting import action_json
from celeriac.management.jobs.actions import table_of
from celeriac.management.terminal.moments import span
from celeriac.management.terminal.page import iso
from celeriac.management.terminal.screen import Cell, Column, Row, Screen, clean

__all__ = ["stats"]

#: In heartbeats: a worker not seen for so long is said to be silent. Who is lost the worker that leads decides.
SILENT = 3.0


class _Seen(NamedTuple):
    """A worker, as its row, its session and its jobs tell of it."""

    sighting: Sighting
    row: Worker | None
    runs: int
    leads: bool

    @property
    def trouble(self) -> str:
        """What is wrong with it, in a word."""
        if self.row is None:
            return "gone, its jobs are to be rescued"
        if self.sighting.ended:
            return "its session has ended"
        return "silent" if self.sighting.age > SILENT * max(self.sighting.heartbeat, 0.1) else ""

    @property
    def stuck(self) -> list[str]:
        """Jobs past a limit that its pool cannot enforce."""
        return [str(id_) for id_ in json.loads(self.row.stuck)] if self.row else []

    @property
    def queues(self) -> list[str]:
        """What it consumes."""
        return list(json.loads(self.row.queues)) if self.row else []


def stats(options: dict[str, Any], screen: Screen) -> None:
    """Say how the ledger stands."""
    column = "task" if options["tasks"] else "queue"
    found = standings(column)
    workers = _workers()
    paused = set(Queue.objects.using(alias_of()).filter(paused=True).values_list("name", flat=True))
    open_ = list(Action.objects.using(alias_of()).filter(state="open").order_by("created_at"))
    notes = {standing.name: _note(standing, workers, paused) if column == "queue" else "" for standing in found}
    if options["json"]:
        screen.json(
            {
                f"{column}s": [_standing_json(standing, notes[standing.name]) for standing in found],
                "workers": [_worker_json(worker) for worker in workers],
                "actions": [action_json(action) for action in open_],
            }
        )
        return
    _standings(column, found, notes, screen)
    screen.line()
    _table_of_workers(workers, screen)
    if open_:
        screen.line()
        table_of(open_, screen)


def _workers() -> list[_Seen]:
    alias = alias_of()
    rows = Worker.objects.using(alias).in_bulk()
    leader = Lease.objects.using(alias).filter(name="upkeep").values_list("holder", flat=True).first()
    runs: dict[UUID, int] = running_by_worker()
    seen = [
        _Seen(sighting, rows.get(sighting.id), runs.get(sighting.id, 0), sighting.id == leader)
        for sighting in queries.sightings()
    ]
    return sorted(seen, key=lambda worker: (worker.sighting.hostname, str(worker.sighting.id)))


def _note(standing: Standing, workers: list[_Seen], paused: set[str]) -> str:
    if standing.name in paused:
        return "paused"
    taken = any(standing.name in worker.queues for worker in workers)
    waits = any(standing.of(state).number for state in (State.READY, State.SCHEDULED))
    return "no worker takes it" if waits and not taken else ""


def _standings(column: str, found: list[Standing], notes: dict[str, str], screen: Screen) -> None:
    if not found:
        screen.line("No job is open, and none is dead.", "SUCCESS")
        return
    by_queue = column == "queue"
    columns = [
        Column(column.upper(), least=10, tail=not by_queue),
        *(Column(state.upper(), right=True) for state in SHOWN),
        Column("IN 1H", right=True),
        *([Column("OLDEST", right=True), Column("", least=8)] if by_queue else []),
    ]
    rows = []
    for standing in found:
        row: Row = [clean(standing.name)]
        row += [_cell(standing.of(state), "ERROR" if state == State.DEAD else "") for state in SHOWN]
        row += [_cell(standing.died, "ERROR")]
        row += [_age(standing, screen), Cell(notes[standing.name], "WARNING")] if by_queue else []
        rows.append(row)
    screen.table(columns, rows)


def _age(standing: Standing, screen: Screen) -> str:
    if standing.oldest is None:
        return "-"
    return span(round(max(0.0, (screen.now - standing.oldest).total_seconds())))


def _cell(count: Count, style: str) -> Cell:
    return Cell(str(count), style) if count.number else Cell("-")


def _table_of_workers(workers: list[_Seen], screen: Screen) -> None:
    if not workers:
        screen.line("No worker is there.", "WARNING")
        return
    columns = [
        Column("WORKER", least=14),
        Column("PID", right=True),
        Column("POOL"),
        Column("RUNS", right=True),
        Column("SEEN", right=True),
        Column("QUEUES", least=8),
        Column("", least=12),
    ]
    rows: list[Row] = []
    for worker in workers:
        row, sighting = worker.row, worker.sighting
        stuck = f"{len(worker.stuck)} stuck" if worker.stuck else ""
        notes = ", ".join(filter(None, ["leads" if worker.leads else "", stuck, worker.trouble]))
        cells: Row = [
            clean(sighting.hostname) or str(sighting.id),
            str(sighting.pid or "-"),
            row.pool if row else "-",
            f"{worker.runs}/{row.concurrency}" if row else str(worker.runs),
            f"{span(round(sighting.age))} ago" if row else "never",
            ",".join(worker.queues),
            Cell(notes, "WARNING" if worker.trouble or stuck else ""),
        ]
        rows.append(cells)
    screen.table(columns, rows)


def _standing_json(standing: Standing, note: str) -> dict[str, Any]:
    counts = {state.value: standing.of(state) for state in SHOWN} | {"died_last_hour": standing.died}
    return {
        "name": standing.name,
        **{name: count.number for name, count in counts.items()},
        "at_least": sorted(name for name, count in counts.items() if count.more),
        "oldest_ready": iso(standing.oldest),
        "note": note,
    }


def _worker_json(worker: _Seen) -> dict[str, Any]:
    row, sighting = worker.row, worker.sighting
    return {
        "id": str(sighting.id),
        "hostname": sighting.hostname,
        "pid": sighting.pid,
        "pool": row.pool if row else "",
        "concurrency": row.concurrency if row else 0,
        "queues": worker.queues,
        "runs": worker.runs,
        "leads": worker.leads,
        "seen_at": iso(sighting.seen_at),
        "stuck": worker.stuck,
        "trouble": worker.trouble,
    }
