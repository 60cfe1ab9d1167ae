-- End claimed jobs, and count down whatever waits for them, in one statement: a chord cannot be lost between two
-- writes. The fence is (state, claim_no); a row it refuses changes nothing here and counts down nothing.
WITH finished AS (
    UPDATE celeriac_job j
    SET state = v.state, reason = v.reason, attempt = j.attempt + v.charge, losses = j.losses + v.loss,
        result = v.result, error = v.error, children = v.children, progress = NULL, worker = NULL,
        exception = v.exception, fingerprint = v.fingerprint, turn = NULL,
        held = CASE WHEN j.hold = 'until' THEN j.held END,
        started_at = statement_timestamp() - (v.ran + v.ago) * interval '1 second',
        finished_at = statement_timestamp() - v.ago * interval '1 second'
    FROM unnest(
        %(id)s::uuid[], %(claim_no)s::int[], %(state)s::text[], %(reason)s::text[], %(charge)s::int[],
        %(loss)s::int[], %(result)s::text[], %(error)s::text[], %(children)s::text[], %(ran)s::float8[],
        %(ago)s::float8[], %(exception)s::text[], %(fingerprint)s::text[]
    ) AS v (id, claim_no, state, reason, charge, loss, result, error, children, ran, ago, exception, fingerprint)
    -- The CASE hides 'running' from the planner, which would read the index of all that run, of every worker; and so it
    -- is with 'waiting' below.
    WHERE j.id = v.id AND j.claim_no = v.claim_no AND j.state = CASE WHEN v.id IS NOT NULL THEN 'running' END
    RETURNING j.id, j.lane
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
    JOIN finished m ON m.id = j.id
    ON CONFLICT (job_id, claim_no) DO NOTHING
), counted AS (
    -- OFFSET 0 has the planner look for each parent by itself. Where it knows of few edges, it would rather read all of
    -- them in the order of the grouping, and the plan may be kept for when there are many.
    SELECT e.child_id, count(*)::int AS parents
    FROM finished f CROSS JOIN LATERAL (SELECT child_id FROM celeriac_edge WHERE parent = f.id OFFSET 0) AS e
    GROUP BY e.child_id
), locked AS MATERIALIZED (
    -- Two flushers may end parents of the same children; locking in one order keeps them from deadlock.
    SELECT c.id FROM celeriac_job c WHERE c.id IN (SELECT child_id FROM counted) ORDER BY c.id FOR UPDATE
), freed AS (
    UPDATE celeriac_job c
    SET waits_for = c.waits_for - n.parents,
        state = CASE WHEN c.waits_for > n.parents OR c.reason <> '' THEN 'waiting' ELSE 'ready' END
    FROM counted n JOIN locked l ON l.id = n.child_id
    WHERE c.id = n.child_id AND c.waits_for >= n.parents
      AND c.state = CASE WHEN n.child_id IS NOT NULL THEN 'waiting' END
    RETURNING c.queue, c.state
)
SELECT
    (SELECT count(*) FROM finished),
    (SELECT array_agg(DISTINCT queue) FROM freed WHERE state = 'ready'),
    EXISTS (SELECT FROM finished WHERE lane > ''),
    EXISTS (
        SELECT FROM celeriac_lease
        WHERE name = 'results' AND number > extract(epoch FROM statement_timestamp())
    )
