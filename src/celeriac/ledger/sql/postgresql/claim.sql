-- Take the most urgent ready jobs of one queue. The CTE is an optimisation fence: LIMIT must bind before the update,
-- and SKIP LOCKED lets any number of workers do this at once without waiting for one another.
WITH due AS MATERIALIZED (
    SELECT id
    FROM celeriac_job
    WHERE state = 'ready'
      AND queue = %(queue)s
      AND (expires_at IS NULL OR expires_at > now())
      AND cancel = ''
      AND NOT EXISTS (SELECT FROM celeriac_queue q WHERE q.name = %(queue)s AND q.paused)
    ORDER BY priority DESC, run_at, id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE celeriac_job j
SET state = 'running', worker = %(worker)s, claim_no = j.claim_no + 1, started_at = now(),
    held = CASE WHEN j.hold = 'pending' THEN NULL ELSE j.held END
FROM due
WHERE j.id = due.id
RETURNING j.id, j.task, j.queue, j.priority, j.args, j.kwargs, j.headers, j.attempt, j.losses, j.claim_no,
          j.run_at, j.expires_at, j.suspect, j.key,
          extract(epoch FROM now() - j.failing_since)::float8
