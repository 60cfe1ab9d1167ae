"""Presence and rescue for SQLite, MySQL and MariaDB, with the ORM. There is no advisory lock: heartbeats alone tell."""

from uuid import UUID

from django.db.models import F

from celeriac.ledger.database import alias_of, clock, writing
from celeriac.ledger.models import Job, Lease, Worker
from celeriac.ledger.rows import Present, Renewal, Sighting
from celeriac.ledger.states import State

__all__ = ["UPKEEP", "renew", "sightings"]

#: The lease of the worker that does for all what one has to do.
UPKEEP = "upkeep"


def renew(present: Present, stale: int | None, *, using: str | None = None) -> Renewal:
    now = clock(using)
    with writing(using) as alias:
        facts = {**present._asdict(), "seen_at": now}
        id_ = facts.pop("id")
        made = not Worker.objects.using(alias).filter(id=id_).update(**facts)
        if made:
            Worker.objects.using(alias).create(id=id_, lock=present.lock, started_at=now, **facts)
        holder, number = _bid(id_, stale, alias)
        asked = Job.objects.using(alias).filter(worker=id_, state=State.RUNNING).exclude(cancel="").exists()
    return Renewal(made, holder, number, asked)


def _bid(id_: UUID, stale: int | None, alias: str) -> tuple[UUID | None, int]:
    leases = Lease.objects.using(alias)
    lease, made = leases.get_or_create(name=UPKEEP, defaults={"holder": id_, "number": 1})
    if made:
        return id_, 1
    gone = not Worker.objects.using(alias).filter(id=lease.holder).exists()
    if lease.holder != id_ and lease.number != stale and not gone:
        return lease.holder, lease.number
    taken = leases.filter(name=UPKEEP, number=lease.number).update(holder=id_, number=F("number") + 1)
    return (id_, lease.number + 1) if taken else (None, lease.number)  # of several bids one wins


def sightings(*, using: str | None = None) -> list[Sighting]:
    alias = alias_of(using)
    now = clock(using)
    workers = list(Worker.objects.using(alias).all())
    known = {worker.id for worker in workers}
    held = Job.objects.using(alias).filter(state=State.RUNNING).values_list("worker", flat=True).distinct()
    return [
        *(
            Sighting(w.id, w.hostname, w.pid, w.heartbeat, w.seen_at, (now - w.seen_at).total_seconds())
            for w in workers
        ),
        *(Sighting(id_) for id_ in held if id_ is not None and id_ not in known),
    ]
