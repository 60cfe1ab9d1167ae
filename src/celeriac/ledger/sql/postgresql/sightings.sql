-- Every worker there is, and every worker that only running jobs still tell of.
WITH advisory AS MATERIALIZED (
    SELECT (classid::bigint << 32) | objid::bigint AS key
    FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT
    w.id, w.hostname, w.pid, w.heartbeat, w.seen_at, extract(epoch FROM clock_timestamp() - w.seen_at)::float8,
    w.locked AND w.server = pg_postmaster_start_time() AND NOT EXISTS (SELECT FROM advisory WHERE key = w.lock)
FROM celeriac_worker w
UNION ALL
SELECT orphaned.worker, '', 0, 0, NULL, 0, false
FROM (SELECT DISTINCT worker FROM celeriac_job WHERE state = 'running') AS orphaned
WHERE NOT EXISTS (SELECT FROM celeriac_worker w WHERE w.id = orphaned.worker)
