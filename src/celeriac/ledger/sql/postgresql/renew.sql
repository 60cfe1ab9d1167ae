-- A worker's heartbeat, in one statement: its row, its advisory lock, its bid for the lead, and what it is told back.
-- The row says whether the session that wrote it holds the lock: through a pooler it mostly does not, and then nobody
-- concludes anything from the lock.
WITH advisory AS MATERIALIZED (
    SELECT pid, (classid::bigint << 32) | objid::bigint AS key
    FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
), mine AS MATERIALIZED (
    SELECT CASE
        WHEN EXISTS (SELECT FROM advisory WHERE pid = pg_backend_pid() AND key = %(lock)s) THEN true
        WHEN %(may_lock)s THEN pg_try_advisory_lock(%(lock)s)
        ELSE false
    END AS locked
), present AS (
    INSERT INTO celeriac_worker (
        id, hostname, pid, pool, concurrency, queues, stuck, heartbeat, lock, locked, server, started_at, seen_at
    )
    SELECT
        %(id)s, %(hostname)s, %(pid)s, %(pool)s, %(concurrency)s, %(queues)s, %(stuck)s, %(heartbeat)s, %(lock)s,
        mine.locked, pg_postmaster_start_time(), statement_timestamp(), statement_timestamp()
    FROM mine
    ON CONFLICT (id) DO UPDATE SET
        queues = EXCLUDED.queues, stuck = EXCLUDED.stuck, concurrency = EXCLUDED.concurrency,
        locked = EXCLUDED.locked, server = EXCLUDED.server, seen_at = EXCLUDED.seen_at
    RETURNING started_at = seen_at AS made
), held AS MATERIALIZED (
    -- A newcomer has seen nothing yet, but can see for how long the sessions of others were not cut.
    SELECT max(extract(epoch FROM clock_timestamp() - session.backend_start))::float8 AS seconds
    FROM celeriac_worker w JOIN advisory ON key = w.lock JOIN pg_stat_activity session ON session.pid = advisory.pid
    WHERE w.locked AND NOT EXISTS (SELECT FROM celeriac_worker me WHERE me.id = %(id)s)
), ended AS MATERIALIZED (
    -- Others whose session is gone while the server stayed up: dead, if no renewal comes.
    SELECT w.id, extract(epoch FROM clock_timestamp() - w.seen_at)::float8 AS unseen
    FROM celeriac_worker w
    WHERE w.locked AND w.server = pg_postmaster_start_time() AND w.id <> %(id)s
      AND NOT EXISTS (SELECT FROM advisory WHERE key = w.lock)
), lead AS MATERIALIZED (
    SELECT l.holder, l.number,
        l.holder = %(id)s
        OR COALESCE(l.number = %(stale)s, false)
        -- A leader that has left need not be waited for; nor one whose session ended, but by who knows that this was no
        -- outage: who does not may not yet judge others, and would keep the one who may from leading.
        OR NOT EXISTS (SELECT FROM celeriac_worker w WHERE w.id = l.holder)
        OR ((%(settled)s OR (SELECT COALESCE(seconds > %(settles)s, false) FROM held))
            AND EXISTS (SELECT FROM ended WHERE ended.id = l.holder)) AS open
    FROM celeriac_lease l
    WHERE l.name = 'upkeep'
), bid AS (
    INSERT INTO celeriac_lease (name, holder, number)
    SELECT 'upkeep', %(id)s, 1
    WHERE COALESCE((SELECT open FROM lead), true)
    ON CONFLICT (name) DO UPDATE SET holder = EXCLUDED.holder, number = celeriac_lease.number + 1
    WHERE celeriac_lease.number = (SELECT number FROM lead)  -- of several bids one wins
    RETURNING holder, number
)
SELECT
    present.made,
    COALESCE(bid.holder, CASE WHEN NOT lead.open THEN lead.holder END),  -- who bid and lost knows that somebody else won
    COALESCE(bid.number, lead.number, 0),
    EXISTS (SELECT FROM celeriac_job WHERE worker = %(id)s AND state = 'running' AND cancel <> ''),
    COALESCE(held.seconds, 0),
    (SELECT max(unseen) FROM ended)
FROM present CROSS JOIN held LEFT JOIN bid ON true LEFT JOIN lead ON true
