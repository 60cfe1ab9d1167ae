-- Make ready what waited for a worker that knows its task.
WITH known AS MATERIALIZED (
    SELECT id FROM celeriac_job
    WHERE state = 'waiting' AND reason = 'unregistered' AND waits_for = 0 AND task = ANY(%(tasks)s)
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), unparked AS (
    UPDATE celeriac_job j SET state = 'ready', reason = '' FROM known WHERE j.id = known.id RETURNING j.queue
)
SELECT queue, count(*) FROM unparked GROUP BY queue
