-- One job, with plain values: planning and running `insert.sql` costs the server six times this.
-- The casts are for projects whose OPTIONS ask for server_side_binding.
INSERT INTO celeriac_job (
    id, task, queue, priority, args, kwargs, headers, attempt, waits_for, reason,
    state, run_at, expires_at, created_at, losses, claim_no
)
VALUES (
    %(id)s, %(task)s, %(queue)s, %(priority)s, %(args)s, %(kwargs)s, %(headers)s, %(attempt)s, %(waits_for)s,
    %(reason)s::text,
    CASE
        WHEN %(waits_for)s > 0 OR %(reason)s::text <> '' THEN 'waiting'
        WHEN COALESCE(%(run_at)s::timestamptz > clock_timestamp(), %(delay)s::float8 > 0) THEN 'scheduled'
        ELSE 'ready'
    END,
    COALESCE(%(run_at)s::timestamptz, clock_timestamp() + %(delay)s::float8 * interval '1 second'),
    COALESCE(%(expires_at)s::timestamptz, clock_timestamp() + %(expires_in)s::float8 * interval '1 second'),
    clock_timestamp(), 0, 0
)
