-- Send claimed jobs back for another attempt: now, later, or waiting for a named reason. NULL keeps the row's value.
WITH back AS (
    UPDATE celeriac_job j
    SET state = CASE
            WHEN v.reason <> '' THEN 'waiting'
            WHEN COALESCE(v.run_at > clock_timestamp(), v.delay > 0) THEN 'scheduled'
            ELSE 'ready'
        END,
        reason = v.reason, attempt = j.attempt + v.charge, losses = j.losses + v.loss,
        run_at = COALESCE(v.run_at, clock_timestamp() + v.delay * interval '1 second'),
        queue = COALESCE(v.queue, j.queue), priority = COALESCE(v.priority, j.priority),
        args = COALESCE(v.args, j.args), kwargs = COALESCE(v.kwargs, j.kwargs),
        headers = COALESCE(v.headers, j.headers), expires_at = COALESCE(v.expires_at, j.expires_at),
        suspect = v.suspect,
        worker = NULL, started_at = NULL, progress = NULL
    FROM unnest(
        %(id)s::uuid[], %(claim_no)s::int[], %(reason)s::text[], %(charge)s::int[], %(loss)s::int[],
        %(delay)s::float8[], %(run_at)s::timestamptz[], %(queue)s::text[], %(priority)s::smallint[],
        %(args)s::text[], %(kwargs)s::text[], %(headers)s::text[], %(expires_at)s::timestamptz[],
        %(suspect)s::bool[]
    ) AS v (
        id, claim_no, reason, charge, loss, delay, run_at, queue, priority, args, kwargs, headers, expires_at, suspect
    )
    WHERE j.id = v.id AND j.claim_no = v.claim_no AND j.state = 'running'
    RETURNING j.queue, j.state
)
SELECT queue, state, count(*) FROM back GROUP BY queue, state
