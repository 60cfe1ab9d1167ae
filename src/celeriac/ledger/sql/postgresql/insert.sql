-- Insert jobs. An id already there is left alone, so asking twice is asking once (but see revive.sql). DO NOTHING,
-- since DO UPDATE locks even the rows its WHERE refuses: asking again inside a long transaction would hold up whoever
-- ends that job, and the same id twice in one batch would be an error.
-- clock_timestamp(), not now(): jobs of one long transaction keep their order, and a countdown starts at the call.
INSERT INTO celeriac_job (
    id, task, queue, priority, args, kwargs, headers, attempt, waits_for, reason,
    state, run_at, expires_at, created_at, losses, claim_no, key, held, hold, held_until, lane
)
SELECT
    v.id, v.task, v.queue, v.priority, v.args, v.kwargs, v.headers, v.attempt, v.waits_for, v.reason,
    CASE
        WHEN v.waits_for > 0 OR v.reason <> '' THEN 'waiting'
        WHEN COALESCE(v.run_at > clock_timestamp(), v.delay > 0) THEN 'scheduled'
        ELSE 'ready'
    END,
    COALESCE(v.run_at, clock_timestamp() + v.delay * interval '1 second'),
    COALESCE(v.expires_at, clock_timestamp() + v.expires_in * interval '1 second'),
    clock_timestamp(), 0, 0,
    v.key, v.held, v.hold, clock_timestamp() + v.hold_for * interval '1 second', v.lane
FROM unnest(
    %(id)s::uuid[], %(task)s::text[], %(queue)s::text[], %(priority)s::smallint[], %(args)s::text[],
    %(kwargs)s::text[], %(headers)s::text[], %(attempt)s::int[], %(waits_for)s::int[], %(reason)s::text[],
    %(delay)s::float8[], %(run_at)s::timestamptz[], %(expires_in)s::float8[], %(expires_at)s::timestamptz[],
    %(key)s::text[], %(held)s::text[], %(hold)s::text[], %(hold_for)s::float8[], %(lane)s::text[]
) AS v (
    id, task, queue, priority, args, kwargs, headers, attempt, waits_for, reason, delay, run_at, expires_in, expires_at,
    key, held, hold, hold_for, lane
)
-- Of an id, or of a key that another job holds.
ON CONFLICT DO NOTHING
