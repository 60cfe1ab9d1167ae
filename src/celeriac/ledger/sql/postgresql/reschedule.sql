-- Send claimed jobs back for another attempt: now, later, or waiting for a named reason. NULL keeps the row's value. A
-- turn is kept until the end, but by a job that was replaced: what replaced it may be of the same lane.
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
        failing_since = CASE WHEN v.charge > 0 THEN COALESCE(j.failing_since, clock_timestamp()) ELSE j.failing_since END,
        turn = CASE WHEN v.reason <> 'replaced' THEN j.turn END,
        worker = NULL, started_at = NULL, progress = NULL
    FROM unnest(
        %(id)s::uuid[], %(claim_no)s::int[], %(reason)s::text[], %(charge)s::int[], %(loss)s::int[],
        %(delay)s::float8[], %(run_at)s::timestamptz[], %(queue)s::text[], %(priority)s::smallint[],
        %(args)s::text[], %(kwargs)s::text[], %(headers)s::text[], %(expires_at)s::timestamptz[],
        %(suspect)s::bool[]
    ) AS v (
        id, claim_no, reason, charge, loss, delay, run_at, queue, priority, args, kwargs, headers, expires_at, suspect
    )
    -- The CASE hides 'running' from the planner, which would read the index of all that run, of every worker.
    WHERE j.id = v.id AND j.claim_no = v.claim_no AND j.state = CASE WHEN v.id IS NOT NULL THEN 'running' END
    RETURNING j.id, j.queue, j.state
), told AS (
    -- The story of each attempt that did not succeed; its number and worker are those of the row as it was.
    INSERT INTO celeriac_attempt (
        job_id, number, claim_no, replay, kind, exception, message, traceback, worker, started_at, finished_at
    )
    SELECT
        j.id, j.attempt + 1, j.claim_no, j.replays, s.kind, s.exception, s.message, s.traceback, j.worker,
        statement_timestamp() - (s.ran + s.ago) * interval '1 second',
        statement_timestamp() - s.ago * interval '1 second'
    FROM unnest(
        %(story_id)s::uuid[], %(story_claim_no)s::int[], %(story_kind)s::text[], %(story_exception)s::text[],
        %(story_message)s::text[], %(story_traceback)s::text[], %(story_ran)s::float8[], %(story_ago)s::float8[]
    ) AS s (id, claim_no, kind, exception, message, traceback, ran, ago)
    JOIN celeriac_job j ON j.id = s.id AND j.claim_no = s.claim_no
    JOIN back m ON m.id = j.id
    ON CONFLICT (job_id, claim_no) DO NOTHING
)
SELECT queue, state, count(*) FROM back GROUP BY queue, state
