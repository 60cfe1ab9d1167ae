-- Make ready what waited for a worker that knows its task; one of a lane that never had its turn gets in line.
WITH known AS MATERIALIZED (
    SELECT id FROM celeriac_job
    WHERE state = 'waiting' AND reason = 'unregistered' AND waits_for = 0 AND task = ANY(%(tasks)s)
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), unparked AS (
    UPDATE celeriac_job j
    SET state = CASE WHEN j.lane > '' AND j.turn IS NULL THEN 'waiting' ELSE 'ready' END,
        reason = CASE WHEN j.lane > '' AND j.turn IS NULL THEN 'exclusive' ELSE '' END
    FROM known WHERE j.id = known.id
    RETURNING j.queue, j.state
)
SELECT queue, count(*) FROM unparked WHERE state = 'ready' GROUP BY queue
