-- Make ready the first in line of each lane whose turn nobody has. A lane has as many waiting as it likes: the index is
-- skipped through from lane to lane, and in a free one from its highest priority down, so that jobs whose time has not
-- come are not read. Two who do this at once choose the same rows, and one skips what the other has locked; should they
-- differ after all, the unique index on `turn` refuses the second.
WITH RECURSIVE lanes AS (
    (
        SELECT lane, priority FROM celeriac_job WHERE state = 'waiting' AND reason = 'exclusive'
        ORDER BY lane, priority DESC LIMIT 1
    )
    UNION ALL
    SELECT beyond.lane, beyond.priority
    FROM lanes CROSS JOIN LATERAL (
        SELECT j.lane, j.priority FROM celeriac_job j
        WHERE j.state = 'waiting' AND j.reason = 'exclusive' AND j.lane > lanes.lane
        ORDER BY j.lane, j.priority DESC LIMIT 1
    ) AS beyond
), free AS MATERIALIZED (
    SELECT lane, priority FROM lanes WHERE NOT EXISTS (SELECT FROM celeriac_job h WHERE h.turn = lanes.lane)
), first AS MATERIALIZED (
    SELECT f.id
    FROM free CROSS JOIN LATERAL (
        SELECT at.id
        FROM generate_series(free.priority, 0, -1) AS p (priority) CROSS JOIN LATERAL (
            SELECT j.id FROM celeriac_job j
            WHERE j.state = 'waiting' AND j.reason = 'exclusive' AND j.lane = free.lane AND j.priority = p.priority
              AND j.run_at <= statement_timestamp() AND j.waits_for = 0 AND j.cancel = ''
              AND (j.expires_at IS NULL OR j.expires_at > statement_timestamp())
            ORDER BY j.run_at, j.id
            LIMIT 1
        ) AS at
        ORDER BY p.priority DESC
        LIMIT 1
    ) AS f
    LIMIT %(limit)s
), locked AS MATERIALIZED (
    SELECT id FROM celeriac_job
    WHERE id IN (SELECT id FROM first) AND state = 'waiting' AND reason = 'exclusive'
    FOR UPDATE SKIP LOCKED
), admitted AS (
    UPDATE celeriac_job j SET state = 'ready', reason = '', turn = j.lane
    FROM locked WHERE j.id = locked.id
    RETURNING j.queue
)
SELECT queue, count(*) FROM admitted GROUP BY queue
