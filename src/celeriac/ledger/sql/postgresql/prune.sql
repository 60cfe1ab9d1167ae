-- Delete what has ended long ago, with its attempts, effects and edges. A part of the table at a time, by the primary
-- key: an index for this alone would be written with every end, and nobody is in a hurry here.
WITH looked AS MATERIALIZED (
    SELECT id, state, finished_at, hold, held, held_until FROM celeriac_job
    WHERE id > %(after)s::uuid
    ORDER BY id LIMIT %(look)s
), old AS MATERIALIZED (
    SELECT l.id, l.finished_at FROM looked l
    WHERE (
            (l.state IN ('succeeded', 'cancelled') AND l.finished_at < now() - %(age)s::float8 * interval '1 second')
            OR (l.state = 'dead' AND l.finished_at < now() - %(dead_age)s::float8 * interval '1 second')
        )
        -- A key that is held until a time, or for ever, is kept by the row.
        AND (l.held IS NULL OR l.held_until <= now())
        -- Its result may be asked for by what waits for others besides.
        AND NOT EXISTS (
            SELECT FROM celeriac_edge e JOIN celeriac_job c ON c.id = e.child_id
            WHERE e.parent = l.id AND c.state = 'waiting'
        )
    ORDER BY l.id LIMIT %(limit)s
), locked AS MATERIALIZED (
    -- Those that an operator has just sent back are not what they were when we looked.
    SELECT j.id FROM celeriac_job j JOIN old ON old.id = j.id AND old.finished_at = j.finished_at
    FOR UPDATE OF j SKIP LOCKED
), attempts AS (
    DELETE FROM celeriac_attempt a USING locked WHERE a.job_id = locked.id
), effects AS (
    DELETE FROM celeriac_effect e USING locked WHERE e.job_id = locked.id
), edges AS (
    DELETE FROM celeriac_edge e USING locked WHERE e.child_id = locked.id OR e.parent = locked.id
), pruned AS (
    DELETE FROM celeriac_job j USING locked WHERE j.id = locked.id RETURNING j.state
)
SELECT
    (SELECT count(*) FROM pruned),
    CASE
        WHEN (SELECT count(*) FROM old) >= %(limit)s THEN (SELECT id FROM old ORDER BY id DESC LIMIT 1)
        WHEN (SELECT count(*) FROM looked) >= %(look)s THEN (SELECT id FROM looked ORDER BY id DESC LIMIT 1)
    END
