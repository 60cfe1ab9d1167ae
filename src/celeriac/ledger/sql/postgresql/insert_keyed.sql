-- Insert one job under the first of its slots that is free: that nobody holds, or whose holder's time is over (that one
-- lets go here). Tells whether it did, and whether a slot was free: another transaction may have taken that one first.
-- One holder is locked at most, and the slots are tried in their order, so that two calls do not wait for each other.
WITH slot AS MATERIALIZED (
    SELECT s.held, j.id AS holder
    FROM unnest(%(slots)s::text[]) WITH ORDINALITY AS s (held, position)
    LEFT JOIN celeriac_job j ON j.held = s.held AND j.held IS NOT NULL
    WHERE j.id IS NULL OR j.held_until <= clock_timestamp()
    ORDER BY s.position
    LIMIT 1
), lapsed AS (
    UPDATE celeriac_job j SET held = NULL
    FROM slot
    WHERE j.id = slot.holder AND j.held = slot.held AND j.held_until <= clock_timestamp()
    RETURNING j.id
), inserted AS (
    INSERT INTO celeriac_job (
        id, task, queue, priority, args, kwargs, headers, attempt, waits_for, reason,
        state, run_at, expires_at, created_at, losses, claim_no, key, held, hold, held_until, lane
    )
    SELECT
        %(id)s::uuid, %(task)s::text, %(queue)s::text, %(priority)s::smallint, %(args)s::text, %(kwargs)s::text,
        %(headers)s::text, %(attempt)s::int, %(waits_for)s::int, %(reason)s::text,
        CASE
            WHEN %(waits_for)s::int > 0 OR %(reason)s::text <> '' THEN 'waiting'
            WHEN COALESCE(%(run_at)s::timestamptz > clock_timestamp(), %(delay)s::float8 > 0) THEN 'scheduled'
            ELSE 'ready'
        END,
        COALESCE(%(run_at)s::timestamptz, clock_timestamp() + %(delay)s::float8 * interval '1 second'),
        COALESCE(%(expires_at)s::timestamptz, clock_timestamp() + %(expires_in)s::float8 * interval '1 second'),
        clock_timestamp(), 0, 0,
        %(key)s::text, slot.held, %(hold)s::text, clock_timestamp() + %(hold_for)s::float8 * interval '1 second',
        %(lane)s::text
    -- Counted, so that the holder has let go before this inserts: the order of statements is not given otherwise.
    FROM slot CROSS JOIN (SELECT count(*) FROM lapsed) AS first
    ON CONFLICT DO NOTHING
    RETURNING id
)
SELECT EXISTS (SELECT FROM inserted), EXISTS (SELECT FROM slot)
