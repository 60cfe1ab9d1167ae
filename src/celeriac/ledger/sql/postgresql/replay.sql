-- Send ended jobs back, as if asked for now, and write for each what was done to it; one statement, so the account and
-- the jobs cannot differ. All are locked before any is judged, in the order in which every operator's verb locks.
WITH held AS MATERIALIZED (
    SELECT j.id, j.state, j.reason, j.finished_at, v.digest,
        j.reason = 'undecodable' AND strpos(j.headers, '"raw":') > 0
            AND %(args)s::text IS NULL AND %(kwargs)s::text IS NULL AS unread
    FROM celeriac_job j JOIN unnest(%(id)s::uuid[], %(digest)s::text[]) AS v (id, digest) ON v.id = j.id
    ORDER BY j.id
    FOR UPDATE OF j
), judged AS MATERIALIZED (
    SELECT h.*, CASE
        -- Ended since the action was asked for: of its own making, or nobody has seen it yet.
        WHEN h.state <> ALL(%(states)s::text[]) OR h.finished_at > %(until)s::timestamptz
            OR EXISTS (SELECT FROM celeriac_change c WHERE c.action_id = %(action)s::uuid AND c.job_id = h.id)
            THEN 'state'
        WHEN h.reason = 'upstream' THEN 'upstream'
        -- Its arguments are in bytes that nobody could read; without any it would be another call.
        WHEN h.unread THEN 'unread'
        WHEN EXISTS (SELECT FROM celeriac_job k WHERE k.held = h.digest AND k.id <> h.id) THEN 'key'
        ELSE ''
    END AS skip
    FROM held h
), chosen AS MATERIALIZED (
    -- Of several that want the same key the one that ended first.
    SELECT id, state, digest, row_number() OVER (ORDER BY finished_at, id) - 1 AS place
    FROM (
        SELECT *, row_number() OVER (PARTITION BY COALESCE(digest, id::text) ORDER BY finished_at, id) AS nth
        FROM judged WHERE skip = ''
    ) fit
    WHERE nth = 1
), moved AS (
    UPDATE celeriac_job j
    SET state = CASE
            WHEN j.lane > '' THEN 'waiting'
            WHEN %(delay)s::float8 + c.place * %(every)s::float8 > 0 THEN 'scheduled'
            ELSE 'ready'
        END,
        reason = CASE WHEN j.lane > '' THEN 'exclusive' ELSE '' END,
        run_at = statement_timestamp() + (%(delay)s::float8 + c.place * %(every)s::float8) * interval '1 second',
        args = COALESCE(%(args)s::text, j.args), kwargs = COALESCE(%(kwargs)s::text, j.kwargs),
        replays = j.replays + 1, held = COALESCE(c.digest, j.held),
        attempt = 0, losses = 0, suspect = false, cancel = '', waits_for = 0, expires_at = NULL, started_at = NULL,
        finished_at = NULL, result = NULL, error = NULL, children = NULL, progress = NULL, failing_since = NULL,
        exception = '', fingerprint = '', announced = false
    FROM chosen c
    WHERE j.id = c.id
    RETURNING j.id, c.state AS before, j.queue, j.state
), waits AS (
    -- What still waits for others waits for these again: each end is counted down, and theirs was once.
    SELECT e.child_id, count(*)::int AS parents
    FROM celeriac_edge e JOIN chosen ON chosen.id = e.parent
    GROUP BY e.child_id
), locked AS MATERIALIZED (
    SELECT c.id FROM celeriac_job c WHERE c.id IN (SELECT child_id FROM waits) ORDER BY c.id FOR UPDATE
), again AS (
    UPDATE celeriac_job c SET waits_for = c.waits_for + w.parents
    FROM waits w JOIN locked l ON l.id = w.child_id
    WHERE c.id = w.child_id AND c.state = 'waiting' AND c.waits_for > 0
), told AS (
    INSERT INTO celeriac_change (action_id, job_id, before, diff)
    SELECT %(action)s::uuid, id, before, %(diff)s::text FROM moved
)
SELECT id, before, queue, state, '' FROM moved
UNION ALL
SELECT id, state, '', '', CASE WHEN skip = '' THEN 'key' ELSE skip END
FROM judged WHERE id NOT IN (SELECT id FROM chosen)
