-- Bring jobs that no claim holds to their end, making the row where none is and a task is named, and count down
-- whatever waits for them. A running or ended job is left alone.
WITH v AS (
    SELECT * FROM unnest(
        %(id)s::uuid[], %(state)s::text[], %(reason)s::text[], %(result)s::text[], %(error)s::text[],
        %(children)s::text[], %(task)s::text[], %(queue)s::text[], %(args)s::text[], %(kwargs)s::text[],
        %(headers)s::text[], %(exception)s::text[], %(fingerprint)s::text[]
    ) AS t (id, state, reason, result, error, children, task, queue, args, kwargs, headers, exception, fingerprint)
), held AS MATERIALIZED (
    -- In the order in which finish locks children: these may be children of a job that ends right now.
    SELECT j.id FROM celeriac_job j
    WHERE j.id IN (SELECT id FROM v) AND j.state IN ('waiting', 'scheduled', 'ready')
    ORDER BY j.id
    FOR UPDATE
), updated AS (
    UPDATE celeriac_job j
    SET state = v.state, reason = v.reason, result = v.result, error = v.error, children = v.children,
        waits_for = 0, finished_at = clock_timestamp(), exception = v.exception, fingerprint = v.fingerprint,
        turn = NULL, held = CASE WHEN j.hold = 'until' THEN j.held END
    FROM v JOIN held ON held.id = v.id
    WHERE j.id = v.id AND j.state IN ('waiting', 'scheduled', 'ready')
    RETURNING j.id, j.lane
), inserted AS (
    INSERT INTO celeriac_job (
        id, task, queue, priority, args, kwargs, headers, state, reason, attempt, losses, claim_no, waits_for,
        run_at, created_at, finished_at, result, error, children, exception, fingerprint
    )
    SELECT v.id, v.task, v.queue, 0, v.args, v.kwargs, v.headers, v.state, v.reason, 0, 0, 0, 0,
           clock_timestamp(), clock_timestamp(), clock_timestamp(), v.result, v.error, v.children,
           v.exception, v.fingerprint
    FROM v
    WHERE v.task <> '' AND NOT EXISTS (SELECT FROM celeriac_job j WHERE j.id = v.id)
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), settled AS (
    SELECT id FROM updated UNION ALL SELECT id FROM inserted
), counted AS (
    SELECT e.child_id, count(*)::int AS parents
    FROM celeriac_edge e JOIN settled s ON s.id = e.parent
    GROUP BY e.child_id
), locked AS MATERIALIZED (
    SELECT c.id FROM celeriac_job c WHERE c.id IN (SELECT child_id FROM counted) ORDER BY c.id FOR UPDATE
), freed AS (
    UPDATE celeriac_job c
    SET waits_for = c.waits_for - n.parents,
        state = CASE WHEN c.waits_for > n.parents OR c.reason <> '' THEN 'waiting' ELSE 'ready' END
    FROM counted n JOIN locked l ON l.id = n.child_id
    WHERE c.id = n.child_id AND c.state = 'waiting' AND c.waits_for >= n.parents
    RETURNING c.queue, c.state
)
SELECT
    (SELECT array_agg(id) FROM settled),
    (SELECT array_agg(DISTINCT queue) FROM freed WHERE state = 'ready'),
    EXISTS (SELECT FROM updated WHERE lane > '')
