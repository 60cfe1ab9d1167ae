-- Give a job that holds the key, and that no claim has had, the content of another call: one that has begun may have had
-- effects, which are those of its own content. What it waits for stays as it is, but for its place in a lane: a turn is
-- kept only in the same lane and if the job may run now, or the lane would stand still.
UPDATE celeriac_job j
SET args = %(args)s::text, kwargs = %(kwargs)s::text, headers = %(headers)s::text, queue = %(queue)s::text,
    priority = %(priority)s::smallint, run_at = v.run_at,
    expires_at = COALESCE(%(expires_at)s::timestamptz, clock_timestamp() + %(expires_in)s::float8 * interval '1 second'),
    lane = v.lane,
    turn = CASE WHEN j.turn = v.lane AND v.due THEN j.turn END,
    reason = CASE
        WHEN j.reason NOT IN ('', 'exclusive') THEN j.reason
        WHEN v.lane = '' OR (j.turn = v.lane AND v.due) THEN ''
        ELSE 'exclusive'
    END,
    state = CASE
        WHEN j.waits_for > 0 OR j.reason NOT IN ('', 'exclusive') THEN 'waiting'
        WHEN v.lane <> '' AND (j.turn = v.lane AND v.due) IS NOT TRUE THEN 'waiting'
        WHEN v.due THEN 'ready'
        ELSE 'scheduled'
    END
FROM (
    SELECT t.run_at, t.lane, t.run_at <= clock_timestamp() AS due
    FROM (
        SELECT
            COALESCE(%(run_at)s::timestamptz, clock_timestamp() + %(delay)s::float8 * interval '1 second') AS run_at,
            %(lane)s::text AS lane
    ) AS t
    OFFSET 0  -- one time for all of the above
) AS v
WHERE j.id = %(holder)s AND j.held = ANY(%(slots)s::text[]) AND j.claim_no = 0
  AND j.state IN ('waiting', 'scheduled', 'ready')
