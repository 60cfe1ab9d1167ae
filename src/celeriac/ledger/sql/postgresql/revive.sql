-- Two kinds of job take new content when their id comes back: one that was replaced (Task.replace), as the last step of
-- what replaced it; and one that died because the step before it did, when that step has succeeded after all. Run only
-- where `insert.sql` met ids already there. One that comes back to a lane gets in line anew.
WITH v AS (
    SELECT * FROM unnest(
        %(id)s::uuid[], %(task)s::text[], %(queue)s::text[], %(priority)s::smallint[], %(args)s::text[],
        %(kwargs)s::text[], %(headers)s::text[], %(attempt)s::int[], %(waits_for)s::int[], %(reason)s::text[],
        %(delay)s::float8[], %(run_at)s::timestamptz[], %(expires_in)s::float8[], %(expires_at)s::timestamptz[],
        %(lane)s::text[]
    ) AS t (
        id, task, queue, priority, args, kwargs, headers, attempt, waits_for, reason, delay, run_at, expires_in,
        expires_at, lane
    )
), old AS MATERIALIZED (
    SELECT id, state FROM celeriac_job
    WHERE id = ANY(%(id)s::uuid[])
      AND ((state = 'waiting' AND reason = 'replaced') OR (state = 'dead' AND reason = 'upstream'))
    ORDER BY id
    FOR UPDATE
), waits AS (
    -- What still waits for others waits for the dead among these again, whose end was counted down once.
    SELECT e.child_id, count(*)::int AS parents
    FROM celeriac_edge e JOIN old ON old.id = e.parent AND old.state = 'dead'
    WHERE e.child_id NOT IN (SELECT id FROM old)
    GROUP BY e.child_id
), locked AS MATERIALIZED (
    SELECT c.id FROM celeriac_job c WHERE c.id IN (SELECT child_id FROM waits) ORDER BY c.id FOR UPDATE
), again AS (
    UPDATE celeriac_job c SET waits_for = c.waits_for + w.parents
    FROM waits w JOIN locked l ON l.id = w.child_id
    WHERE c.id = w.child_id AND c.state = 'waiting' AND c.waits_for > 0
)
UPDATE celeriac_job j
SET task = v.task, queue = v.queue, priority = v.priority, args = v.args, kwargs = v.kwargs, headers = v.headers,
    attempt = v.attempt, waits_for = v.waits_for, reason = v.reason,
    state = CASE
        WHEN v.waits_for > 0 OR v.reason <> '' THEN 'waiting'
        WHEN COALESCE(v.run_at > clock_timestamp(), v.delay > 0) THEN 'scheduled'
        ELSE 'ready'
    END,
    run_at = COALESCE(v.run_at, clock_timestamp() + v.delay * interval '1 second'),
    expires_at = COALESCE(v.expires_at, clock_timestamp() + v.expires_in * interval '1 second'),
    lane = v.lane, turn = CASE WHEN v.reason = 'exclusive' THEN NULL ELSE j.turn END,
    finished_at = NULL, error = NULL, exception = '', fingerprint = '', announced = false
FROM v JOIN old ON old.id = v.id
WHERE j.id = v.id
