"""The first in line of each lane, for SQLite, MySQL and MariaDB: admit."""

from collections import Counter
from uuid import UUID

from django.db.models import F

from celeriac.ledger.database import clock, connection_of, locked, writing
from celeriac.ledger.models import Job
from celeriac.ledger.states import State

__all__ = ["admit"]

#: The lanes that somebody waits in. SQLite skips through its index from one to the next, as PostgreSQL does
#: (sql/postgresql/admit.sql). MariaDB has no use of an index for the next one's condition: it would read all of the
#: waiting for each lane (10,000 lanes took minutes), so there all are read once.
LANES = {
    "sqlite": """
        WITH RECURSIVE lanes (lane) AS (
            SELECT min(lane) FROM celeriac_job WHERE state = 'waiting' AND reason = 'exclusive'
            UNION ALL
            SELECT (
                SELECT min(j.lane) FROM celeriac_job j
                WHERE j.state = 'waiting' AND j.reason = 'exclusive' AND j.lane > lanes.lane
            )
            FROM lanes WHERE lanes.lane IS NOT NULL
        )
    """,
    "mysql": """
        WITH lanes (lane) AS (
            SELECT DISTINCT lane FROM celeriac_job WHERE state = 'waiting' AND reason = 'exclusive'
        )
    """,
}

FIRST = """
    SELECT first FROM (
        SELECT (
            SELECT j.id FROM celeriac_job j
            WHERE j.state = 'waiting' AND j.reason = 'exclusive' AND j.lane = lanes.lane
              AND j.waits_for = 0 AND j.cancel = '' AND j.run_at <= %(now)s
              AND (j.expires_at IS NULL OR j.expires_at > %(now)s)
            ORDER BY j.priority DESC, j.run_at, j.id
            LIMIT 1
        ) AS first
        FROM lanes
        WHERE lanes.lane IS NOT NULL AND NOT EXISTS (SELECT 1 FROM celeriac_job h WHERE h.turn = lanes.lane)
    ) AS free
    WHERE first IS NOT NULL
    LIMIT %(limit)s
"""


def admit(limit: int, *, using: str | None = None) -> dict[str, int]:
    if not _first(1, using):
        return {}  # without the write lock: this is asked ten times a second on SQLite
    with writing(using) as alias:
        jobs = Job.objects.using(alias)
        waiting = jobs.filter(id__in=_first(limit, using), state=State.WAITING, reason="exclusive")
        chosen = list(locked(waiting, using).values_list("id", "queue"))
        jobs.filter(id__in=[id_ for id_, _ in chosen]).update(state=State.READY, reason="", turn=F("lane"))
    return dict(Counter(queue for _, queue in chosen))


def _first(limit: int, using: str | None) -> list[UUID]:
    connection = connection_of(using)
    now = connection.ops.adapt_datetimefield_value(clock(using))
    with connection.cursor() as cursor:
        cursor.execute(LANES[connection.vendor] + FIRST, {"now": now, "limit": limit})
        return [id_ if isinstance(id_, UUID) else UUID(id_) for (id_,) in cursor.fetchall()]
