-- Jobs that nobody may start any more.
SELECT id FROM celeriac_job
WHERE expires_at <= clock_timestamp() AND state IN ('waiting', 'scheduled', 'ready')
ORDER BY expires_at
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
