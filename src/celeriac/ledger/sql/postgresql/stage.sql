-- Make ready what is due, oldest first, at most a batch; then tell when the next one is due. By statement_timestamp(),
-- which the index can be searched with; clock_timestamp() would be asked anew for every row.
WITH due AS MATERIALIZED (
    SELECT id FROM celeriac_job
    WHERE state = 'scheduled' AND run_at <= statement_timestamp()
    ORDER BY run_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), staged AS (
    UPDATE celeriac_job j SET state = 'ready' FROM due WHERE j.id = due.id RETURNING j.queue
)
SELECT
    (SELECT count(*) FROM staged),
    (SELECT array_agg(DISTINCT queue) FROM staged),
    (
        SELECT extract(epoch FROM run_at - clock_timestamp())::float8
        FROM celeriac_job
        WHERE state = 'scheduled' AND id NOT IN (SELECT id FROM due)
        ORDER BY run_at
        LIMIT 1
    )
